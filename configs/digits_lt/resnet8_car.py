# Confusion-aware spectral regulariser (CAR; Zhu et al., CVPR 2026) on cross-entropy.
# python tools/train.py configs/digits_lt/resnet8_car.py
# Seconds on one CPU core; figures in docs/results/car.md.
_base_ = [
    '../_base_/datasets/digits_lt.py',
    '../_base_/models/digits_resnet8.py',
    '../_base_/schedules/digits_40e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(loss=dict(_delete_=True, type='CARLoss', criterion=dict(type='CrossEntropyLoss')))
)
default_hooks = dict(confusion=dict(type='EMAConfusionHook'))
