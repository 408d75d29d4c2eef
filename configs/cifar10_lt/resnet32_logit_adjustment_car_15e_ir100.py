# CAR (Zhu et al., CVPR 2026) on logit-adjusted cross-entropy, a short run for a CPU.
# python tools/train.py configs/cifar10_lt/resnet32_logit_adjustment_car_15e_ir100.py --amp
# Two CPU cores; figures in docs/results/car.md.
_base_ = [
    '../_base_/datasets/cifar10_lt.py',
    '../_base_/models/cifar_resnet32.py',
    '../_base_/schedules/cifar_15e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(
        num_classes=10,
        loss=dict(_delete_=True, type='CARLoss', criterion=dict(type='LogitAdjustedLoss')),
    )
)
default_hooks = dict(
    confusion=dict(type='EMAConfusionHook'), channels_last=dict(type='ChannelsLastHook')
)
