# Confusion-aware spectral regulariser (CAR; Zhu et al., CVPR 2026) on cross-entropy, 32 pixels.
# python tools/train.py configs/cifar100_lt/vit_small_car_ir100.py
# 1 GPU, batch 128. The published figures are of 224 pixels: vit_small_p16_car_ir100.py.
# Not yet run here.
_base_ = [
    '../_base_/datasets/cifar100_lt.py',
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
