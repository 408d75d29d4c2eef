# ConCutMix (Pan et al., IEEE TIP 2024) with CAR (Zhu et al., CVPR 2026), a short run for a CPU.
# python tools/train.py configs/cifar10_lt/resnet32_concutmix_car_15e_ir100.py --amp
# Two CPU cores; figures in docs/results/concutmix.md.
_base_ = [
    '../_base_/datasets/cifar10_lt_views.py',
    '../_base_/models/cifar_resnet32_bcl.py',
    '../_base_/schedules/cifar_15e.py',
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
        num_classes=10,
        loss=dict(tau=0.85),
        label_start_epoch=8,
        top_k=3,
        omega=2 / 255,
        loss_car=dict(type='CARLoss', criterion=None),
    ),
    train_cfg=dict(augments=dict(type='ConCutMixAugment')),
)
default_hooks = dict(
    confusion=dict(type='EMAConfusionHook'), channels_last=dict(type='ChannelsLastHook')
)
