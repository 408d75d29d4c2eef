# Logit adjustment (Menon et al., ICLR 2021) on the wide ResNet-32 (64 to 256 channels).
# python tools/train.py configs/cifar100_lt/wide_resnet32_logit_adjustment_ir100.py
# 1 GPU. 7.4 M parameters: to be compared with figures of this width only. Not yet run here.
_base_ = './resnet32_logit_adjustment_ir100.py'

model = dict(backbone=dict(base_channels=64), head=dict(in_channels=256))
