# Confusion-aware spectral regulariser (CAR; Zhu et al., CVPR 2026) on cross-entropy.
# tools/dist_train.sh configs/imagenet_lt/vit_small_car.py 8
# 8 GPUs, batch 128. Published top-1: 57.48 % (tail 35.8, worst class 18). Not yet run here.
_base_ = [
    '../_base_/datasets/imagenet_lt_car.py',
    '../_base_/models/vit_small_p16.py',
    '../_base_/schedules/vit_200e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(
        num_classes=_base_.num_classes,
        loss=dict(_delete_=True, type='CARLoss', criterion=dict(type='CrossEntropyLoss')),
    )
)
