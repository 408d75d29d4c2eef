# BCL (Zhu et al., CVPR 2022) on the wide ResNet-32 (64, 128 and 256 channels).
# python tools/train.py configs/cifar10_lt/wide_resnet32_bcl_ir100.py
# 1 GPU. 7.4 M parameters: to be compared with figures of this width only. Not yet run here.
_base_ = './resnet32_bcl_ir100.py'

model = dict(
    backbone=dict(base_channels=64), neck=dict(in_channels=256), head=dict(in_channels=256)
)
