# ResNeXt-50 (32x4d). The leaf sets num_classes and the loss.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNeXt', depth=50, groups=32, width_per_group=4),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', in_channels=2048, loss=dict(type='CrossEntropyLoss')),
)
