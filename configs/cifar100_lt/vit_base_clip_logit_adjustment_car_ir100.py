# CAR (Zhu et al., CVPR 2026) on logit adjustment.
# python tools/train.py configs/cifar100_lt/vit_base_clip_logit_adjustment_car_ir100.py
# 1 GPU, batch 128, CLIP weights with adapters. Not yet run here.
_base_ = './vit_base_clip_logit_adjustment_ir100.py'

model = dict(
    head=dict(loss=dict(_delete_=True, type='CARLoss', criterion=dict(type='LogitAdjustedLoss')))
)
