# CP-Mix (Yoon et al., arXiv 2411.07621): mixup of confused classes; a short run for a CPU.
# python tools/train.py configs/cifar10_lt/resnet32_cpmix_15e_ir100.py --amp
# Two CPU cores; figures in docs/results/cpmix.md.
_base_ = [
    '../_base_/datasets/cifar10_lt.py',
    '../_base_/models/cifar_resnet32.py',
    '../_base_/schedules/cifar_15e.py',
    '../_base_/default_runtime.py',
]

data_preprocessor = dict(type='PairedDataPreprocessor')
train_dataloader = dict(
    dataset=dict(_delete_=True, type='PairedDataset', dataset={{_base_.train_dataloader.dataset}}),
    sampler=dict(_delete_=True, type='PairSampler', partners='confusion', pairing='anchor'),
    batch_sampler=dict(type='PairBatchSampler', prob=0.5),
)
model = dict(
    head=dict(num_classes=10),
    train_cfg=dict(augments=dict(type='CPMixBatchAugment', alpha=1.0, tau=1.0)),
)
default_hooks = dict(
    confusion=dict(type='EMAConfusionHook'), channels_last=dict(type='ChannelsLastHook')
)
