# UniMix (Xu et al., NeurIPS 2021) with the balanced softmax that it is published with.
# python tools/train.py configs/digits_lt/resnet8_unimix.py
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
    sampler=dict(_delete_=True, type='PairSampler', partners=0.5),
    batch_sampler=dict(type='PairBatchSampler', prob=1.0),
)
model = dict(
    head=dict(loss=dict(_delete_=True, type='LogitAdjustedLoss')),
    train_cfg=dict(augments=dict(type='UniMixBatchAugment')),
)
