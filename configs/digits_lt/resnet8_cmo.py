# CMO (Park et al., CVPR 2022): CutMix with a rare-class foreground, cross-entropy.
# python tools/train.py configs/digits_lt/resnet8_cmo.py
# Seconds on one CPU core; figures in docs/results/cpmix.md.
_base_ = [
    '../_base_/datasets/digits_lt_pairs.py',
    '../_base_/models/digits_resnet8.py',
    '../_base_/schedules/digits_40e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(num_classes=_base_.num_classes), train_cfg=dict(augments=dict(type='CMOBatchAugment'))
)
