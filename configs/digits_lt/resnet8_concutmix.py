# ConCutMix (Pan et al., IEEE TIP 2024) on BCL.
# python tools/train.py configs/digits_lt/resnet8_concutmix.py
# Seconds on one CPU core; figures in docs/results/concutmix.md.
_base_ = [
    '../_base_/datasets/digits_lt_views.py',
    '../_base_/models/digits_resnet8_bcl.py',
    '../_base_/schedules/digits_40e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(
    dataset=dict(_delete_=True, type='PairedDataset', dataset={{_base_.train_dataloader.dataset}}),
    sampler=dict(_delete_=True, type='PairSampler', partners='balanced'),
    batch_sampler=dict(type='PairBatchSampler', prob=0.5),
)
model = dict(
    head=dict(label_start_epoch=20, top_k=3, omega=2 / 255),
    train_cfg=dict(augments=dict(type='ConCutMixAugment')),
)
