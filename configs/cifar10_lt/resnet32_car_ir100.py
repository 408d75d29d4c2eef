# Confusion-aware spectral regulariser (CAR; Zhu et al., CVPR 2026) on cross-entropy.
# python tools/train.py configs/cifar10_lt/resnet32_car_ir100.py
# 1 GPU, batch 128. Not yet run for 200 epochs here.
_base_ = './resnet32_ce_ir100.py'

model = dict(
    head=dict(loss=dict(_delete_=True, type='CARLoss', criterion=dict(type='CrossEntropyLoss')))
)
