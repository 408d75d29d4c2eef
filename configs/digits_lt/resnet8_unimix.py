# UniMix (Xu et al., NeurIPS 2021) with the balanced softmax that it is published with.
# python tools/train.py configs/digits_lt/resnet8_unimix.py
# Seconds on one CPU core; figures in docs/results/cpmix.md.
_base_ = [
    '../_base_/datasets/digits_lt_pairs.py',
    '../_base_/models/digits_resnet8.py',
    '../_base_/schedules/digits_40e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(sampler=dict(partners=0.5), batch_sampler=dict(prob=1.0))
model = dict(
    head=dict(num_classes=_base_.num_classes, loss=dict(_delete_=True, type='LogitAdjustedLoss')),
    train_cfg=dict(augments=dict(type='UniMixBatchAugment')),
)
