# ConCutMix (Pan et al., IEEE TIP 2024) with CAR (Zhu et al., CVPR 2026), a short run for a CPU.
# python tools/train.py configs/cifar10_lt/resnet32_concutmix_car_15e_ir100.py --amp
# Two CPU cores; figures in docs/results/concutmix.md.
_base_ = './resnet32_concutmix_15e_ir100.py'

model = dict(head=dict(loss_car=dict(type='CARLoss', criterion=None)))
