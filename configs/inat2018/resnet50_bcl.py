# Balanced contrastive learning (BCL; Zhu et al., CVPR 2022).
# tools/dist_train.sh configs/inat2018/resnet50_bcl.py 8
# 8 GPUs, two batches of 128 accumulated. Not yet run here.
_base_ = [
    '../_base_/datasets/inat2018_views.py',
    '../_base_/models/resnet50_bcl.py',
    '../_base_/schedules/inat2018_100e.py',
    '../_base_/default_runtime.py',
]

# 16 per GPU: the batch of 128 on 8 GPUs
train_dataloader = dict(batch_size=16)
model = dict(head=dict(num_classes=_base_.num_classes, loss=dict(tau=1.0)))
