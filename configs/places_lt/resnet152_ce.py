# Cross-entropy, the baseline.
# tools/dist_train.sh configs/places_lt/resnet152_ce.py 8
# 8 GPUs, batch 256. Not yet run here.
_base_ = [
    '../_base_/datasets/places_lt.py',
    '../_base_/models/resnet152_pretrained.py',
    '../_base_/schedules/places_lt_30e.py',
    '../_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=_base_.num_classes))
