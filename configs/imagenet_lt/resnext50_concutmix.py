# ConCutMix (Pan et al., IEEE TIP 2024) on BCL.
# tools/dist_train.sh configs/imagenet_lt/resnext50_concutmix.py 8
# 8 GPUs, batch 256. Published top-1: 59.76 % (70.7/56.6/39.8). Not yet run here.
_base_ = [
    '../_base_/datasets/imagenet_lt_views_pairs.py',
    '../_base_/models/resnext50_bcl.py',
    '../_base_/schedules/imagenet_lt_90e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(num_classes=_base_.num_classes, label_start_epoch=61, top_k=30, omega=200 / 255),
    train_cfg=dict(augments=dict(type='ConCutMixAugment')),
)
