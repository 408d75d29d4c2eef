# Label over-smoothing (Sun et al., ICLR 2025): the classifier goes on with labels near 1 / K.
# python tools/train.py configs/cifar100_lt/resnet34_over_smoothing_ir100.py
# 1 GPU, batch 64; after resnet34_ce_ir100.py. Published top-1, best epoch on the test set, league
# B: 54.9 %, by the mean of an image and its mirror image. Not yet run here.
_base_ = [
    '../_base_/datasets/cifar100_lt.py',
    '../_base_/models/cifar_resnet34.py',
    '../_base_/schedules/cifar_over_smoothing_20e.py',
    '../_base_/default_runtime.py',
]

load_from = 'work_dirs/resnet34_ce_ir100/epoch_200.pth'
model = dict(
    backbone=dict(frozen_stages=4),
    head=dict(
        num_classes=_base_.num_classes,
        loss=dict(_delete_=True, type='LogitAdjustedLoss', tau=0, label_smooth_val=0.98),
    ),
)
train_dataloader = dict(batch_size=64)
