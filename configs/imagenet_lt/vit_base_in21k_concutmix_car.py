# ConCutMix (Pan et al., IEEE TIP 2024) with CAR (Zhu et al., CVPR 2026).
# python tools/train.py configs/imagenet_lt/vit_base_in21k_concutmix_car.py
# 1 GPU, batch 128, ImageNet-21k weights with adapters. Not yet run here.
_base_ = './vit_base_clip_concutmix_car.py'

data_preprocessor = _base_.in21k_pixels
model = dict(backbone=dict(backbone=dict(_base_.in21k, _delete_=True)))
