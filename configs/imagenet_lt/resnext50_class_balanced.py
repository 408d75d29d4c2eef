# Class-balanced sampling: class uniform, then image uniform within the class.
# tools/dist_train.sh configs/imagenet_lt/resnext50_class_balanced.py 8
# 8 GPUs, batch 256. Not yet run here.
_base_ = [
    '../_base_/datasets/imagenet_lt.py',
    '../_base_/models/resnext50.py',
    '../_base_/schedules/imagenet_lt_90e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(sampler=dict(_delete_=True, type='ClassBalancedSampler'))
model = dict(head=dict(num_classes=1000))
