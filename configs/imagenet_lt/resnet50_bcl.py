# Balanced contrastive learning (BCL; Zhu et al., CVPR 2022).
# tools/dist_train.sh configs/imagenet_lt/resnet50_bcl.py 8
# 8 GPUs, batch 256; 100 epochs as ConCutMix, where the released code has 90. Not yet run here.
_base_ = [
    '../_base_/datasets/imagenet_lt_views.py',
    '../_base_/models/resnet50_bcl.py',
    '../_base_/schedules/imagenet_lt_100e.py',
    '../_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=_base_.num_classes, loss=dict(tau=1.0)))
