# CP-Mix (Yoon et al., arXiv 2411.07621) with CAR (Zhu et al., CVPR 2026).
# tools/dist_train.sh configs/places_lt/resnet152_cpmix_car.py 8
# 8 GPUs, batch 256. Not yet run here.
_base_ = [
    '../_base_/datasets/places_lt.py',
    '../_base_/models/resnet152_pretrained.py',
    '../_base_/schedules/places_lt_30e.py',
    '../_base_/default_runtime.py',
]

data_preprocessor = dict(type='PairedDataPreprocessor')
train_dataloader = dict(
    dataset=dict(_delete_=True, type='PairedDataset', dataset={{_base_.train_dataloader.dataset}}),
    sampler=dict(_delete_=True, type='PairSampler', partners='confusion', pairing='anchor'),
    batch_sampler=dict(type='PairBatchSampler', prob=0.5),
)
model = dict(
    head=dict(
        num_classes=365,
        loss=dict(_delete_=True, type='CARLoss', criterion=dict(type='CrossEntropyLoss')),
    ),
    train_cfg=dict(augments=dict(type='CPMixBatchAugment', alpha=1.0, tau=1.0)),
)
default_hooks = dict(confusion=dict(type='EMAConfusionHook'))
