# CMO (Park et al., CVPR 2022): CutMix with a rare-class foreground, cross-entropy.
# python tools/train.py configs/cifar100_lt/resnet32_cmo_ir100.py
# 1 GPU, batch 128. Not yet run here.
_base_ = [
    '../_base_/datasets/cifar100_lt.py',
    '../_base_/models/cifar_resnet32.py',
    '../_base_/schedules/cifar_200e.py',
    '../_base_/default_runtime.py',
]

data_preprocessor = dict(type='PairedDataPreprocessor')
train_dataloader = dict(
    dataset=dict(_delete_=True, type='PairedDataset', dataset={{_base_.train_dataloader.dataset}}),
    sampler=dict(_delete_=True, type='PairSampler', partners='balanced'),
    batch_sampler=dict(type='PairBatchSampler', prob=0.5),
)
model = dict(head=dict(num_classes=100), train_cfg=dict(augments=dict(type='CMOBatchAugment')))
