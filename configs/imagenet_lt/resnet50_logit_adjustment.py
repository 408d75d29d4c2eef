# Logit adjustment (Menon et al., ICLR 2021), tau 1.
# tools/dist_train.sh configs/imagenet_lt/resnet50_logit_adjustment.py 8
# 8 GPUs, batch 256. Not yet run here.
_base_ = [
    '../_base_/datasets/imagenet_lt.py',
    '../_base_/models/resnet50.py',
    '../_base_/schedules/imagenet_lt_90e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(num_classes=1000, loss=dict(_delete_=True, type='LogitAdjustedLoss', tau=1.0))
)
