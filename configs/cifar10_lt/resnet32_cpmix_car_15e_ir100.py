# CP-Mix (Yoon et al., arXiv 2411.07621) with CAR (Zhu et al., CVPR 2026); a short run for a CPU.
# python tools/train.py configs/cifar10_lt/resnet32_cpmix_car_15e_ir100.py --amp
# Two CPU cores. As it is not yet run here; with pairing='anchor': docs/results/cpmix.md.
_base_ = './resnet32_cpmix_15e_ir100.py'

model = dict(
    head=dict(loss=dict(_delete_=True, type='CARLoss', criterion=dict(type='CrossEntropyLoss')))
)
