# Balanced contrastive learning (BCL; Zhu et al., CVPR 2022).
# python tools/train.py configs/cifar10_lt/resnet32_bcl_ir100.py
# 1 GPU, batch 256. Published top-1, probably with Cutout: 84.32 %. With it:
# resnet32_bcl_cutout_ir100.py. Last epoch, without it, here: 82.5 % (docs/results/cifar10_lt.md).
_base_ = [
    '../_base_/datasets/cifar10_lt_views.py',
    '../_base_/models/cifar_resnet32_bcl.py',
    '../_base_/schedules/cifar_bcl_200e.py',
    '../_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=_base_.num_classes, loss=dict(tau=1.0)))
