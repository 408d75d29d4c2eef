# ConCutMix (Pan et al., IEEE TIP 2024) with CAR (Zhu et al., CVPR 2026), 224 pixels.
# python tools/train.py configs/cifar100_lt/vit_small_p16_concutmix_car_ir100.py
# 1 GPU, batch 128. Published top-1, with this network: 55.68 %. No code of the two together was
# released: how they are joined is ours, and so is the augmentation. Not yet run here.
_base_ = [
    '../_base_/datasets/cifar100_lt_224px_views_pairs.py',
    '../_base_/models/vit_small_p16_bcl.py',
    '../_base_/schedules/vit_200e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(
        num_classes=_base_.num_classes,
        label_start_epoch=101,
        top_k=30,
        omega=20 / 255,
        loss_car=dict(type='CARLoss', criterion=None),
    ),
    train_cfg=dict(augments=dict(type='ConCutMixAugment')),
)
