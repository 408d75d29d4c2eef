# ConCutMix (Pan et al., IEEE TIP 2024) with CAR (Zhu et al., CVPR 2026).
# python tools/train.py configs/cifar10_lt/resnet32_concutmix_car_ir10.py
# 1 GPU, batch 256. Not yet run here.
_base_ = './resnet32_concutmix_ir10.py'

model = dict(head=dict(loss_car=dict(type='CARLoss', criterion=None)))
