# CP-Mix (Yoon et al., arXiv 2411.07621): mixup of confused classes.
# python tools/train.py configs/digits_lt/resnet8_cpmix.py
# Seconds on one CPU core; figures in docs/results/cpmix.md.
_base_ = [
    '../_base_/datasets/digits_lt_pairs.py',
    '../_base_/models/digits_resnet8.py',
    '../_base_/schedules/digits_40e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(sampler=dict(partners='confusion', pairing='pairs'))
model = dict(
    head=dict(num_classes=_base_.num_classes),
    train_cfg=dict(augments=dict(type='CPMixBatchAugment', alpha=1.0, tau=1.0)),
)
