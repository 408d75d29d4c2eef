# ConCutMix (Pan et al., IEEE TIP 2024) with CAR (Zhu et al., CVPR 2026).
# python tools/train.py configs/cifar10_lt/resnet32_concutmix_car_ir50.py
# 1 GPU, batch 256. Not yet run here.
_base_ = [
    '../_base_/datasets/cifar10_lt_views.py',
    '../_base_/models/cifar_resnet32_bcl.py',
    '../_base_/schedules/cifar_bcl_200e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='PairedDataset',
        dataset=dict(
            type='CIFAR10LT',
            data_root='data/cifar10',
            split='train',
            imbalance_ratio=50,
            pipeline={{_base_.train_pipeline}},
        ),
    ),
    sampler=dict(_delete_=True, type='PairSampler', partners='balanced'),
    batch_sampler=dict(type='PairBatchSampler', prob=0.5),
)
model = dict(
    head=dict(
        num_classes=10,
        loss=dict(tau=0.81),
        label_start_epoch=100,
        top_k=3,
        omega=2 / 255,
        loss_car=dict(type='CARLoss', criterion=None),
    ),
    train_cfg=dict(augments=dict(type='ConCutMixAugment')),
)
default_hooks = dict(confusion=dict(type='EMAConfusionHook'))
