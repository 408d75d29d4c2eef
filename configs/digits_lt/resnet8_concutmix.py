# ConCutMix (Pan et al., IEEE TIP 2024) on BCL.
# python tools/train.py configs/digits_lt/resnet8_concutmix.py
# Seconds on one CPU core; figures in docs/results/concutmix.md.
_base_ = [
    '../_base_/datasets/digits_lt_views_pairs.py',
    '../_base_/models/digits_resnet8_bcl.py',
    '../_base_/schedules/digits_40e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(num_classes=_base_.num_classes, label_start_epoch=20, top_k=3, omega=2 / 255),
    train_cfg=dict(augments=dict(type='ConCutMixAugment')),
)
