# ConCutMix (Pan et al., IEEE TIP 2024) with CAR (Zhu et al., CVPR 2026).
# python tools/train.py configs/cifar10_lt/resnet32_concutmix_car_ir100.py
# 1 GPU, batch 256. Last epoch, here: 85.0 %
# (docs/results/cifar10_lt.md).
_base_ = './resnet32_concutmix_ir100.py'

model = dict(head=dict(loss_car=dict(type='CARLoss', criterion=None)))
