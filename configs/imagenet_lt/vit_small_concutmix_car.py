# ConCutMix (Pan et al., IEEE TIP 2024) with CAR (Zhu et al., CVPR 2026).
# tools/dist_train.sh configs/imagenet_lt/vit_small_concutmix_car.py 8
# 8 GPUs, batch 128. Published top-1, with this network: 60.07 % (tail 38.1, worst class 22). No
# code of the two together was released: how they are joined is ours, and the views are BCL's;
# validation and test are CAR's; labels are rectified after two thirds of the epochs, as with
# ResNeXt-50. Not yet run here.
_base_ = [
    '../_base_/datasets/imagenet_lt_car_views_pairs.py',
    '../_base_/models/vit_small_p16_bcl.py',
    '../_base_/schedules/vit_200e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(
        num_classes=_base_.num_classes,
        label_start_epoch=134,
        top_k=30,
        omega=200 / 255,
        loss_car=dict(type='CARLoss', criterion=None),
    ),
    train_cfg=dict(augments=dict(type='ConCutMixAugment')),
)
