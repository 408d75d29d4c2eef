# CP-Mix (Yoon et al., arXiv 2411.07621) with three experts: a last stage and classifier each.
# python tools/train.py configs/cifar100_lt/resnet32_cpmix_experts_ir100.py
# 1 GPU, batch 128. Not yet run here.
_base_ = [
    '../_base_/datasets/cifar100_lt.py',
    '../_base_/models/cifar_resnet32.py',
    '../_base_/schedules/cifar_200e.py',
    '../_base_/default_runtime.py',
]

data_preprocessor = dict(type='PairedDataPreprocessor')
train_dataloader = dict(
    dataset=dict(_delete_=True, type='PairedDataset', dataset={{_base_.train_dataloader.dataset}}),
    sampler=dict(_delete_=True, type='PairSampler', partners='confusion', pairing='anchor'),
    batch_sampler=dict(type='PairBatchSampler', prob=0.5),
)
model = dict(
    backbone=dict(num_stages=2),
    neck=None,
    head=dict(
        _delete_=True,
        type='MultiExpertClsHead',
        num_experts=3,
        expert=dict(type='CIFARResNetStage', depth=32, stage=2),
        num_classes=100,
        in_channels=64,
        loss=dict(type='CrossEntropyLoss'),
    ),
    train_cfg=dict(augments=dict(type='CPMixBatchAugment', alpha=1.0, tau=1.0)),
)
default_hooks = dict(confusion=dict(type='EMAConfusionHook'))
