# CP-Mix (Yoon et al., arXiv 2411.07621) with CAR (Zhu et al., CVPR 2026).
# python tools/train.py configs/cifar100_lt/resnet32_cpmix_car_ir50.py
# 1 GPU, batch 128. Not yet run for 200 epochs here.
_base_ = './resnet32_cpmix_ir50.py'

model = dict(
    head=dict(loss=dict(_delete_=True, type='CARLoss', criterion=dict(type='CrossEntropyLoss')))
)
