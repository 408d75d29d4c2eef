"""The configs of a project, one for each method; what they share stands in ``data.py.in``."""

from __future__ import annotations

__all__ = ['METHODS']

METHODS: dict[str, str] = {
    'ce': """# Cross-entropy, to compare with.
_base_ = '../data.py'
""",
    'la': """# Logit adjustment (Menon et al., ICLR 2021), also called Balanced Softmax.
_base_ = '../data.py'
model = dict(head=dict(loss=dict(type='LogitAdjustedLoss')))
""",
    'la_car': """# Logit adjustment with CAR (Zhu et al., CVPR 2026): against confusion.
_base_ = '../data.py'
model = dict(head=dict(loss=dict(type='CARLoss', criterion=dict(type='LogitAdjustedLoss'))))
""",
    'concutmix_car': """# ConCutMix (Pan et al., IEEE TIP 2024) with CAR: three times the time.
_base_ = '../data.py'
data_preprocessor = dict(type='PairedDataPreprocessor')
data = dict(_base_.train_dataloader.dataset, pipeline=_base_.views)
train_dataloader = dict(_base_.pairs, dataset=dict(_base_.pairs.dataset, dataset=data))
neck = dict(type='BCLNeck', in_channels=_base_.channels)
head = dict(type='ContrastiveClsHead', label_start_epoch=_base_.epochs * 7 // 10)
head.update(loss=dict(type='LogitAdjustedLoss'), loss_car=dict(type='CARLoss', criterion=None))
mixing = dict(augments=dict(type='ConCutMixAugment'))
model = dict(type='MultiViewClassifier', neck=neck, head=head, train_cfg=mixing)
""",
    'cpmix': """# CP-Mix (Yoon et al., arXiv 2411.07621): mixup of confused classes.
_base_ = '../data.py'
data_preprocessor = dict(type='PairedDataPreprocessor')
sampler = dict(type='PairSampler', partners='confusion', pairing='pairs')
train_dataloader = dict(_base_.pairs, sampler=sampler)
model = dict(train_cfg=dict(augments=dict(type='CPMixBatchAugment', alpha=1.0, tau=1.0)))
""",
    'class_balanced': """# Class-balanced sampling: every class is seen equally often.
_base_ = '../data.py'
train_dataloader = dict(sampler=dict(type='ClassBalancedSampler'))
""",
}
