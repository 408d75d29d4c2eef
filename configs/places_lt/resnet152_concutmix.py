# ConCutMix (Pan et al., IEEE TIP 2024) on BCL.
# tools/dist_train.sh configs/places_lt/resnet152_concutmix.py 8
# 8 GPUs, batch 256. No published recipe; settings as on ImageNet-LT. Not yet run here.
_base_ = [
    '../_base_/datasets/places_lt_views_pairs.py',
    '../_base_/models/resnet152_pretrained_bcl.py',
    '../_base_/schedules/places_lt_30e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(num_classes=_base_.num_classes, label_start_epoch=21, top_k=30, omega=200 / 255),
    train_cfg=dict(augments=dict(type='ConCutMixAugment')),
)
