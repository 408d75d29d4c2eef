# CAR (Zhu et al., CVPR 2026) on cross-entropy, a short run for a CPU.
# python tools/train.py configs/cifar10_lt/resnet32_car_15e_ir100.py --amp
# Two CPU cores; figures in docs/results/car.md.
_base_ = './resnet32_ce_15e_ir100.py'

model = dict(
    head=dict(loss=dict(_delete_=True, type='CARLoss', criterion=dict(type='CrossEntropyLoss')))
)
