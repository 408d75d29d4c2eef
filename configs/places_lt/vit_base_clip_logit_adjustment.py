# Logit adjustment (Menon et al., ICLR 2021).
# python tools/train.py configs/places_lt/vit_base_clip_logit_adjustment.py
# 1 GPU, batch 128, CLIP weights with adapters. Not yet run here.
_base_ = [
    '../_base_/datasets/places_lt.py',
    '../_base_/models/vit_base_tuned.py',
    '../_base_/schedules/vit_tuned_10e.py',
    '../_base_/default_runtime.py',
]

data_preprocessor = _base_.clip_pixels
# Crops and flips only, as there.
train_pipeline = [part for part in _base_.train_pipeline if part['type'] != 'ColorJitter']
train_dataloader = dict(batch_size=128, dataset=dict(pipeline=train_pipeline))
model = dict(
    backbone=dict(width=8),
    head=dict(
        num_classes=_base_.num_classes, loss=dict(_delete_=True, type='LogitAdjustedLoss', tau=1.0)
    ),
)
