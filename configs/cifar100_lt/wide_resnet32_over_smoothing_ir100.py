# Label over-smoothing (Sun et al., ICLR 2025): a classifier on frozen features, labels near 1 / K.
# python tools/train.py configs/cifar100_lt/wide_resnet32_over_smoothing_ir100.py
# 1 GPU, batch 128; after wide_resnet32_ce_ir100.py. Published top-1, league B: 54.9 %, by a first
# stage and a schedule that are not known here. Not yet run here.
_base_ = './wide_resnet32_ce_ir100.py'

first_stage = 'work_dirs/wide_resnet32_ce_ir100/epoch_200.pth'
model = dict(
    backbone=dict(
        frozen_stages=3,
        init_cfg=dict(type='Pretrained', prefix='backbone', checkpoint=first_stage),
    ),
    head=dict(loss=dict(_delete_=True, type='LogitAdjustedLoss', tau=0, label_smooth_val=0.98)),
)
param_scheduler = [
    dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=10, convert_to_iter_based=True)
]
train_cfg = dict(max_epochs=10)
