# ResNet-50. The leaf sets num_classes and the loss.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=50),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', in_channels=2048, loss=dict(type='CrossEntropyLoss')),
)
