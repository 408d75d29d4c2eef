# Balanced contrastive learning (BCL; Zhu et al., CVPR 2022).
# python tools/train.py configs/cifar10_lt/resnet32_bcl_400e_ir50.py
# 1 GPU, batch 256. Not yet run here.
_base_ = [
    '../_base_/datasets/cifar10_lt_views.py',
    '../_base_/models/cifar_resnet32_bcl.py',
    '../_base_/schedules/cifar_bcl_400e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(dataset=dict(imbalance_ratio=50))
model = dict(head=dict(num_classes=10, loss=dict(tau=1.0)))
