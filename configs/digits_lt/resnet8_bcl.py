# Balanced contrastive learning (BCL; Zhu et al., CVPR 2022).
# python tools/train.py configs/digits_lt/resnet8_bcl.py
# Seconds on one CPU core; figures in docs/results/concutmix.md.
_base_ = [
    '../_base_/datasets/digits_lt_views.py',
    '../_base_/models/digits_resnet8_bcl.py',
    '../_base_/schedules/digits_40e.py',
    '../_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=_base_.num_classes))
