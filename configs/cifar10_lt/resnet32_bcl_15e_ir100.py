# Balanced contrastive learning (BCL; Zhu et al., CVPR 2022), a short run for a CPU.
# python tools/train.py configs/cifar10_lt/resnet32_bcl_15e_ir100.py --amp
# Two CPU cores; figures in docs/results/concutmix.md.
_base_ = [
    '../_base_/datasets/cifar10_lt_views.py',
    '../_base_/models/cifar_resnet32_bcl.py',
    '../_base_/schedules/cifar_15e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=128)
model = dict(head=dict(num_classes=_base_.num_classes, loss=dict(tau=0.85)))
default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))
