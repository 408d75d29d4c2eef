# ProCo (Du et al., TPAMI 2024): the contrastive loss over infinitely many keys, with Cutout.
# python tools/train.py configs/cifar10_lt/resnet32_proco_ir100.py
# 1 GPU, batch 256. Published top-1, best epoch on the test set: 85.9 %. Not yet run here.
_base_ = './resnet32_bcl_cutout_ir100.py'

# Smaller crops than BCL's, and no blur.
contrastive_view = [
    dict(type='RandomResizedCrop', scale=32, crop_ratio_range=(0.08, 1.0)),
    *_base_.contrastive_view[1:-1],
]
train_pipeline = [
    dict(
        type='MultiView',
        num_views=[1, 2],
        transforms=[_base_.classification_view, contrastive_view],
    ),
    dict(type='PackInputs'),
]
train_dataloader = dict(drop_last=True, dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=0.3, weight_decay=2e-4))
model = dict(
    head=dict(
        loss=dict(loss_weight=1.0),
        loss_bcl=dict(
            _delete_=True,
            type='ProCoLoss',
            num_classes=_base_.num_classes,
            embedding_channels=128,
            temperature=0.1,
            loss_weight=1.0,
        ),
    )
)
