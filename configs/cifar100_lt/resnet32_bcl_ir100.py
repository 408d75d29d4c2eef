# Balanced contrastive learning (BCL; Zhu et al., CVPR 2022).
# python tools/train.py configs/cifar100_lt/resnet32_bcl_ir100.py
# 1 GPU, batch 256. Published top-1, probably with Cutout: 51.9 % (67.2/53.1/32.9).
# Not yet run here.
_base_ = [
    '../_base_/datasets/cifar100_lt_views.py',
    '../_base_/models/cifar_resnet32_bcl.py',
    '../_base_/schedules/cifar_bcl_200e.py',
    '../_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=_base_.num_classes, loss=dict(tau=1.0)))
