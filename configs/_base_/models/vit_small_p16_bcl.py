# BCL on ViT-S/16, cosine classifier. The leaf sets num_classes.
model = dict(
    type='MultiViewClassifier',
    backbone=dict(type='VisionTransformer', arch='deit-small', img_size=224, patch_size=16),
    neck=dict(type='BCLNeck', in_channels=384, out_channels=1024),
    head=dict(
        type='ContrastiveClsHead',
        in_channels=384,
        embedding_channels=1024,
        cosine=True,
        loss=dict(type='LogitAdjustedLoss', tau=0.99, loss_weight=1.0),
        loss_bcl=dict(type='BalancedContrastiveLoss', temperature=0.07, loss_weight=0.35),
    ),
)
