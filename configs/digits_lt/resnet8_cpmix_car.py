# CP-Mix (Yoon et al., arXiv 2411.07621) with CAR (Zhu et al., CVPR 2026).
# python tools/train.py configs/digits_lt/resnet8_cpmix_car.py
# Seconds on one CPU core; figures in docs/results/cpmix.md.
_base_ = './resnet8_cpmix.py'

model = dict(
    head=dict(loss=dict(_delete_=True, type='CARLoss', criterion=dict(type='CrossEntropyLoss')))
)
