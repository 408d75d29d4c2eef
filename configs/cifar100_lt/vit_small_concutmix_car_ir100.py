# ConCutMix (Pan et al., IEEE TIP 2024) with CAR (Zhu et al., CVPR 2026).
# python tools/train.py configs/cifar100_lt/vit_small_concutmix_car_ir100.py
# 1 GPU, batch 128. Published top-1: 55.68 %. Not yet run here.
_base_ = [
    '../_base_/datasets/cifar100_lt_views.py',
    '../_base_/models/vit_small_p4_bcl.py',
    '../_base_/schedules/vit_200e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(
    batch_size=128,
    dataset=dict(_delete_=True, type='PairedDataset', dataset={{_base_.train_dataloader.dataset}}),
    sampler=dict(_delete_=True, type='PairSampler', partners='balanced'),
    batch_sampler=dict(type='PairBatchSampler', prob=0.5),
)
model = dict(
    head=dict(
        num_classes=100,
        label_start_epoch=100,
        top_k=30,
        omega=20 / 255,
        loss_car=dict(type='CARLoss', criterion=None),
    ),
    train_cfg=dict(augments=dict(type='ConCutMixAugment')),
)
default_hooks = dict(confusion=dict(type='EMAConfusionHook'))
