# ResNet-152 from ImageNet weights, as all published figures on Places-LT. The leaf sets
# num_classes and the loss.
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='ResNet',
        depth=152,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet152'),
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', in_channels=2048, loss=dict(type='CrossEntropyLoss')),
)
