# BCL on ResNet-32, linear classifier. The leaf sets num_classes, and tau where it is another one.
model = dict(
    type='MultiViewClassifier',
    backbone=dict(type='CIFARResNet', depth=32),
    neck=dict(type='BCLNeck', in_channels=64, hidden_channels=512, out_channels=128),
    head=dict(
        type='ContrastiveClsHead',
        in_channels=64,
        hidden_channels=512,
        embedding_channels=128,
        cosine=False,
        loss=dict(type='LogitAdjustedLoss', tau=0.9, loss_weight=2.0),
        loss_bcl=dict(type='BalancedContrastiveLoss', temperature=0.1, loss_weight=0.6),
    ),
)
