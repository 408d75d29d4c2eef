# CMO (Park et al., CVPR 2022): CutMix with a rare-class foreground; a short run for a CPU.
# python tools/train.py configs/cifar10_lt/resnet32_cmo_15e_ir100.py --amp
# Two CPU cores. All epochs are mixed. Not run to the end here.
_base_ = [
    '../_base_/datasets/cifar10_lt_pairs.py',
    '../_base_/models/cifar_resnet32.py',
    '../_base_/schedules/cifar_15e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(num_classes=_base_.num_classes), train_cfg=dict(augments=dict(type='CMOBatchAugment'))
)
default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))
