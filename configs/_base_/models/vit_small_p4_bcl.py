# BCL on ViT-S with 4-pixel patches, linear classifier. The leaf sets num_classes.
model = dict(
    type='MultiViewClassifier',
    backbone=dict(
        type='VisionTransformer', arch='deit-small', img_size=32, patch_size=4, drop_path_rate=0.1
    ),
    neck=dict(type='BCLNeck', in_channels=384, hidden_channels=512, out_channels=128),
    head=dict(
        type='ContrastiveClsHead',
        in_channels=384,
        hidden_channels=512,
        embedding_channels=128,
        cosine=False,
        loss=dict(type='LogitAdjustedLoss', tau=0.9, loss_weight=2.0),
        loss_bcl=dict(type='BalancedContrastiveLoss', temperature=0.1, loss_weight=0.6),
    ),
)
