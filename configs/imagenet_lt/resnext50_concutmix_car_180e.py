# ConCutMix (Pan et al., IEEE TIP 2024) with CAR (Zhu et al., CVPR 2026).
# tools/dist_train.sh configs/imagenet_lt/resnext50_concutmix_car_180e.py 8
# 8 GPUs, batch 256. Not yet run here.
_base_ = [
    '../_base_/datasets/imagenet_lt_views.py',
    '../_base_/models/resnext50_bcl.py',
    '../_base_/schedules/imagenet_lt_180e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(
    dataset=dict(_delete_=True, type='PairedDataset', dataset={{_base_.train_dataloader.dataset}}),
    sampler=dict(_delete_=True, type='PairSampler', partners='balanced'),
    batch_sampler=dict(type='PairBatchSampler', prob=0.5),
)
model = dict(
    head=dict(
        num_classes=1000,
        label_start_epoch=120,
        top_k=30,
        omega=200 / 255,
        loss_car=dict(type='CARLoss', criterion=None),
    ),
    train_cfg=dict(augments=dict(type='ConCutMixAugment')),
)
default_hooks = dict(confusion=dict(type='EMAConfusionHook'))
