# Confusion-aware spectral regulariser (CAR; Zhu et al., CVPR 2026) on cross-entropy.
# python tools/train.py configs/cifar10_lt/resnet32_car_ir100.py
# 1 GPU, batch 128. Not yet run for 200 epochs here.
_base_ = [
    '../_base_/datasets/cifar10_lt.py',
    '../_base_/models/cifar_resnet32.py',
    '../_base_/schedules/cifar_200e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(
        num_classes=10,
        loss=dict(_delete_=True, type='CARLoss', criterion=dict(type='CrossEntropyLoss')),
    )
)
default_hooks = dict(confusion=dict(type='EMAConfusionHook'))
