# Cross-entropy, the baseline. A short run for a CPU.
# python tools/train.py configs/cifar10_lt/resnet32_ce_15e_ir100.py --amp
# Two CPU cores; figures in docs/results/cifar10_lt.md.
_base_ = [
    '../_base_/datasets/cifar10_lt.py',
    '../_base_/models/cifar_resnet32.py',
    '../_base_/schedules/cifar_15e.py',
    '../_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=_base_.num_classes))
default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))
