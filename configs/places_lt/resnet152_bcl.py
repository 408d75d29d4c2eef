# Balanced contrastive learning (BCL; Zhu et al., CVPR 2022).
# tools/dist_train.sh configs/places_lt/resnet152_bcl.py 8
# 8 GPUs, batch 256. No published recipe; settings as on ImageNet-LT. Not yet run here.
_base_ = [
    '../_base_/datasets/places_lt_views.py',
    '../_base_/models/resnet152_pretrained_bcl.py',
    '../_base_/schedules/places_lt_30e.py',
    '../_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=_base_.num_classes, loss=dict(tau=1.0)))
