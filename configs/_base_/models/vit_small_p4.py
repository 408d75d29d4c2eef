# ViT-S with 4-pixel patches, for 32 x 32 images. The leaf sets num_classes and the loss.
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='VisionTransformer', arch='deit-small', img_size=32, patch_size=4, drop_path_rate=0.1
    ),
    head=dict(type='VisionTransformerClsHead', in_channels=384, loss=dict(type='CrossEntropyLoss')),
)
