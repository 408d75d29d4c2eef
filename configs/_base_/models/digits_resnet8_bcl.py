# BCL on the digits. The leaf sets num_classes, and what its method changes.
model = dict(
    type='MultiViewClassifier',
    backbone=dict(type='CIFARResNet', depth=8),
    neck=dict(type='BCLNeck', in_channels=64, hidden_channels=64, out_channels=32),
    head=dict(
        type='ContrastiveClsHead',
        in_channels=64,
        hidden_channels=64,
        embedding_channels=32,
        cosine=False,
        loss=dict(type='LogitAdjustedLoss', tau=1.0, loss_weight=1.0),
        loss_bcl=dict(type='BalancedContrastiveLoss', temperature=0.1, loss_weight=0.3),
    ),
)
