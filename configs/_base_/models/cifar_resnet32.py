# ResNet-32 for 32 x 32 images, 0.46 M parameters. The leaf sets num_classes and the loss.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='CIFARResNet', depth=32),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        in_channels=64,
        loss=dict(type='CrossEntropyLoss'),
        init_cfg=dict(type='KaimingWeight', layer='Linear'),
    ),
)
