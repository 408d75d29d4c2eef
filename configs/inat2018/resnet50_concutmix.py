# ConCutMix (Pan et al., IEEE TIP 2024) on BCL.
# tools/dist_train.sh configs/inat2018/resnet50_concutmix.py 8
# 8 GPUs, two batches of 128 accumulated. Not yet run here.
_base_ = [
    '../_base_/datasets/inat2018_views_pairs.py',
    '../_base_/models/resnet50_bcl.py',
    '../_base_/schedules/inat2018_100e.py',
    '../_base_/default_runtime.py',
]

# 16 per GPU: the batch of 128 on 8 GPUs
train_dataloader = dict(batch_size=16)
model = dict(
    head=dict(num_classes=_base_.num_classes, label_start_epoch=81, top_k=30, omega=1628 / 255),
    train_cfg=dict(augments=dict(type='ConCutMixAugment')),
)
