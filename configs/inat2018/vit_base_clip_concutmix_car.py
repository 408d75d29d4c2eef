# ConCutMix (Pan et al., IEEE TIP 2024) with CAR (Zhu et al., CVPR 2026).
# python tools/train.py configs/inat2018/vit_base_clip_concutmix_car.py
# 1 GPU, batch 128, CLIP weights with adapters. Not yet run here.
_base_ = [
    '../_base_/datasets/inat2018_views_pairs.py',
    '../_base_/models/vit_base_tuned_concutmix_car.py',
    '../_base_/schedules/vit_tuned_20e.py',
    '../_base_/default_runtime.py',
]

data_preprocessor = _base_.clip_pixels
train_dataloader = dict(batch_size=128)
model = dict(
    backbone=dict(width=256),
    head=dict(num_classes=_base_.num_classes, label_start_epoch=15, omega=1628 / 255),
)
