# BCL on ResNeXt-50 (32x4d), cosine classifier. The leaf sets num_classes.
model = dict(
    type='MultiViewClassifier',
    backbone=dict(type='ResNeXt', depth=50, groups=32, width_per_group=4, zero_init_residual=False),
    neck=dict(type='BCLNeck', in_channels=2048, out_channels=1024),
    head=dict(
        type='ContrastiveClsHead',
        in_channels=2048,
        embedding_channels=1024,
        cosine=True,
        loss=dict(type='LogitAdjustedLoss', tau=0.99, loss_weight=1.0),
        loss_bcl=dict(type='BalancedContrastiveLoss', temperature=0.07, loss_weight=0.35),
    ),
)
