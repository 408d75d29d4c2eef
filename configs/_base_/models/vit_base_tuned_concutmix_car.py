# ConCutMix with CAR on ViT-B with adapters, cosine classifier. The leaf sets num_classes, the width
# of the adapters and how labels are rectified. Weights of the losses and temperature as in
# vit_small_p16_bcl.py.
_base_ = './vit_base_tuned.py'

model = dict(
    type='MultiViewClassifier',
    neck=dict(type='BCLNeck', in_channels=768, out_channels=1024),
    head=dict(
        type='ContrastiveClsHead',
        embedding_channels=1024,
        cosine=True,
        scale=25.0,
        top_k=30,
        loss=dict(_delete_=True, type='LogitAdjustedLoss', tau=1.0, loss_weight=1.0),
        loss_bcl=dict(type='BalancedContrastiveLoss', temperature=0.07, loss_weight=0.35),
        loss_car=dict(type='CARLoss', criterion=None),
    ),
    train_cfg=dict(augments=dict(type='ConCutMixAugment')),
)
