# ConCutMix (Pan et al., IEEE TIP 2024) with CAR (Zhu et al., CVPR 2026), 32 pixels.
# python tools/train.py configs/cifar100_lt/vit_small_concutmix_car_ir100.py
# 1 GPU, batch 128. The published figures are of 224 pixels: vit_small_p16_concutmix_car_ir100.py.
# Not yet run here.
_base_ = [
    '../_base_/datasets/cifar100_lt_views_pairs.py',
    '../_base_/models/vit_small_p4_bcl.py',
    '../_base_/schedules/vit_200e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=128)
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
