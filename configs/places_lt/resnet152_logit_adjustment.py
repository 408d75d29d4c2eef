# Logit adjustment (Menon et al., ICLR 2021), tau 1.
# tools/dist_train.sh configs/places_lt/resnet152_logit_adjustment.py 8
# 8 GPUs, batch 256. Not yet run here.
_base_ = [
    '../_base_/datasets/places_lt.py',
    '../_base_/models/resnet152_pretrained.py',
    '../_base_/schedules/places_lt_30e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(num_classes=365, loss=dict(_delete_=True, type='LogitAdjustedLoss', tau=1.0))
)
