# Logit adjustment (Menon et al., ICLR 2021), tau 1.
# python tools/train.py configs/cifar100_lt/resnet32_logit_adjustment_ir50.py
# 1 GPU, batch 128. Not yet run for 200 epochs here.
_base_ = [
    '../_base_/datasets/cifar100_lt.py',
    '../_base_/models/cifar_resnet32.py',
    '../_base_/schedules/cifar_200e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(dataset=dict(imbalance_ratio=50))
model = dict(
    head=dict(num_classes=100, loss=dict(_delete_=True, type='LogitAdjustedLoss', tau=1.0))
)
