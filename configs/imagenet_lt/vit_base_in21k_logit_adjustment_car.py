# CAR (Zhu et al., CVPR 2026) on logit adjustment.
# python tools/train.py configs/imagenet_lt/vit_base_in21k_logit_adjustment_car.py
# 1 GPU, batch 128, ImageNet-21k weights with adapters. Not yet run here.
_base_ = './vit_base_in21k_logit_adjustment.py'

model = dict(
    head=dict(loss=dict(_delete_=True, type='CARLoss', criterion=dict(type='LogitAdjustedLoss')))
)
