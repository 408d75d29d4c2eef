# CMO (Park et al., CVPR 2022): CutMix with a rare-class foreground, cross-entropy.
# python tools/train.py configs/digits_lt/resnet8_cmo.py
# Seconds on one CPU core; figures in docs/results/cpmix.md.
_base_ = [
    '../_base_/datasets/digits_lt.py',
    '../_base_/models/digits_resnet8.py',
    '../_base_/schedules/digits_40e.py',
    '../_base_/default_runtime.py',
]

data_preprocessor = dict(type='PairedDataPreprocessor')
train_dataloader = dict(
    dataset=dict(_delete_=True, type='PairedDataset', dataset={{_base_.train_dataloader.dataset}}),
    sampler=dict(_delete_=True, type='PairSampler', partners='balanced'),
    batch_sampler=dict(type='PairBatchSampler', prob=0.5),
)
model = dict(train_cfg=dict(augments=dict(type='CMOBatchAugment')))
