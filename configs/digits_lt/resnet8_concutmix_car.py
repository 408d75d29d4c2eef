# ConCutMix (Pan et al., IEEE TIP 2024) with CAR (Zhu et al., CVPR 2026).
# python tools/train.py configs/digits_lt/resnet8_concutmix_car.py
# Seconds on one CPU core; figures in docs/results/concutmix.md.
_base_ = './resnet8_concutmix.py'

model = dict(head=dict(loss_car=dict(type='CARLoss', criterion=None)))
