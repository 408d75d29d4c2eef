# Confusion-aware spectral regulariser (CAR; Zhu et al., CVPR 2026) on logit-adjusted cross-entropy.
# python tools/train.py configs/digits_lt/resnet8_logit_adjustment_car.py
# Seconds on one CPU core; figures in docs/results/car.md.
_base_ = './resnet8_logit_adjustment.py'

model = dict(
    head=dict(loss=dict(_delete_=True, type='CARLoss', criterion=dict(type='LogitAdjustedLoss')))
)
