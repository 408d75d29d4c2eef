# Logit adjustment (Menon et al., ICLR 2021).
# python tools/train.py configs/cifar100_lt/vit_base_clip_logit_adjustment_ir100.py
# 1 GPU, batch 128, CLIP weights with adapters. Not yet run here.
# LIFT reports 81.7 % with five crops and a classifier that begins as text embeddings.
_base_ = [
    '../_base_/datasets/cifar100_lt_224.py',
    '../_base_/models/vit_base_tuned.py',
    '../_base_/schedules/vit_tuned_10e.py',
    '../_base_/default_runtime.py',
]

data_preprocessor = _base_.clip_pixels
model = dict(
    backbone=dict(width=4),
    head=dict(
        num_classes=_base_.num_classes, loss=dict(_delete_=True, type='LogitAdjustedLoss', tau=1.0)
    ),
)
tta_pipeline = _base_.tta_pipeline[1:]
