# CP-Mix (Yoon et al., arXiv 2411.07621).
# python tools/train.py configs/cifar100_lt/vit_base_clip_cpmix_ir100.py
# 1 GPU, batch 128, CLIP weights with adapters. Not yet run here.
_base_ = [
    '../_base_/datasets/cifar100_lt_224_pairs.py',
    '../_base_/models/vit_base_tuned.py',
    '../_base_/schedules/vit_tuned_10e.py',
    '../_base_/default_runtime.py',
]

data_preprocessor = _base_.clip_pixels
train_dataloader = dict(batch_size=128, sampler=dict(partners='confusion', pairing='pairs'))
model = dict(
    backbone=dict(width=4),
    head=dict(num_classes=_base_.num_classes),
    train_cfg=dict(augments=dict(type='CPMixBatchAugment', alpha=1.0, tau=1.0)),
)
tta_pipeline = _base_.tta_pipeline[1:]
