# CP-Mix (Yoon et al., arXiv 2411.07621).
# python tools/train.py configs/inat2018/vit_base_dinov2_cpmix.py
# 1 GPU, batch 128, DINOv2 weights with adapters. Not yet run here.
_base_ = './vit_base_clip_cpmix.py'

data_preprocessor = _base_.dinov2_pixels
model = dict(backbone=dict(backbone=dict(_base_.dinov2, _delete_=True)))
