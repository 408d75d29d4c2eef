# Cross-entropy, the baseline.
# python tools/train.py configs/digits_lt/resnet8_ce.py
# Seconds on one CPU core; figures in docs/results/digits_lt.md.
_base_ = [
    '../_base_/datasets/digits_lt.py',
    '../_base_/models/digits_resnet8.py',
    '../_base_/schedules/digits_40e.py',
    '../_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=_base_.num_classes))
