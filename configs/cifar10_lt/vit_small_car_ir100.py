# Confusion-aware spectral regulariser (CAR; Zhu et al., CVPR 2026) on cross-entropy.
# python tools/train.py configs/cifar10_lt/vit_small_car_ir100.py
# 1 GPU, batch 128. Not yet run here.
_base_ = [
    '../_base_/datasets/cifar10_lt.py',
    '../_base_/models/vit_small_p4.py',
    '../_base_/schedules/vit_200e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(
        num_classes=_base_.num_classes,
        loss=dict(_delete_=True, type='CARLoss', criterion=dict(type='CrossEntropyLoss')),
    )
)
