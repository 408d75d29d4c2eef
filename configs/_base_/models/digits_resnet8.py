# A ResNet of 8 layers for 8 x 8 images. The leaf sets num_classes and the loss.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='CIFARResNet', depth=8),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', in_channels=64, loss=dict(type='CrossEntropyLoss')),
)
