# CMO (Park et al., CVPR 2022): CutMix with a rare-class foreground; a short run for a CPU.
# python tools/train.py configs/cifar10_lt/resnet32_cmo_15e_ir100.py --amp
# Two CPU cores. Not run to the end here.
_base_ = [
    '../_base_/datasets/cifar10_lt.py',
    '../_base_/models/cifar_resnet32.py',
    '../_base_/schedules/cifar_15e.py',
    '../_base_/default_runtime.py',
]

data_preprocessor = dict(type='PairedDataPreprocessor')
train_dataloader = dict(
    dataset=dict(_delete_=True, type='PairedDataset', dataset={{_base_.train_dataloader.dataset}}),
    sampler=dict(_delete_=True, type='PairSampler', partners='balanced'),
    batch_sampler=dict(type='PairBatchSampler', prob=0.5),
)
model = dict(head=dict(num_classes=10), train_cfg=dict(augments=dict(type='CMOBatchAugment')))
default_hooks = dict(channels_last=dict(type='ChannelsLastHook'))
