# ConCutMix (Pan et al., IEEE TIP 2024) on BCL, a short run for a CPU.
# python tools/train.py configs/cifar10_lt/resnet32_concutmix_15e_ir100.py --amp
# Two CPU cores; figures in docs/results/concutmix.md.
_base_ = [
    '../_base_/datasets/cifar10_lt_views_pairs.py',
    '../_base_/models/cifar_resnet32_bcl.py',
    '../_base_/schedules/cifar_15e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=128)
model = dict(
    head=dict(
        num_classes=_base_.num_classes,
        loss=dict(tau=0.85),
        label_start_epoch=8,
        top_k=3,
        omega=2 / 255,
    ),
    train_cfg=dict(augments=dict(type='ConCutMixAugment')),
)
default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))
