# Classifier re-training (cRT; Kang et al., ICLR 2020): class-balanced batches, frozen features.
# python tools/train.py configs/cifar10_lt/resnet32_crt_ir100.py
# 1 GPU or 2 CPU cores, batch 128; after tools/train.py configs/cifar10_lt/resnet32_ce_ir100.py.
# Top-1 here: 75.8 % (docs/results/cifar10_lt.md).
_base_ = './resnet32_ce_ir100.py'

first_stage = 'work_dirs/resnet32_ce_ir100/epoch_200.pth'
model = dict(
    backbone=dict(
        frozen_stages=3, init_cfg=dict(type='Pretrained', prefix='backbone', checkpoint=first_stage)
    )
)
train_dataloader = dict(sampler=dict(_delete_=True, type='ClassBalancedSampler'))
param_scheduler = [
    dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=10, convert_to_iter_based=True)
]
train_cfg = dict(max_epochs=10)
