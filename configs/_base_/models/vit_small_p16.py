# ViT-S/16 at 224 px. The leaf sets num_classes and the loss.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='VisionTransformer', arch='deit-small', img_size=224, patch_size=16),
    head=dict(type='VisionTransformerClsHead', in_channels=384, loss=dict(type='CrossEntropyLoss')),
)
