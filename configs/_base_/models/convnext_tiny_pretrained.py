# ConvNeXt-T from ImageNet weights, as MMPretrain converted them. The leaf sets num_classes and the
# loss.
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='ConvNeXt',
        arch='tiny',
        drop_path_rate=0.1,
        init_cfg=dict(
            type='Pretrained', checkpoint='weights/convnext_tiny_in1k.pth', prefix='backbone.'
        ),
    ),
    head=dict(type='LinearClsHead', in_channels=768, loss=dict(type='CrossEntropyLoss')),
)
