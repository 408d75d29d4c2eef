# ConCutMix (Pan et al., IEEE TIP 2024) on BCL.
# python tools/train.py configs/cifar100_lt/resnet32_concutmix_400e_ir100.py
# 1 GPU, batch 256. Published top-1, best epoch on the test set, subset of seed 10: 55.06 %.
# Not yet run here.
_base_ = [
    '../_base_/datasets/cifar100_lt_views_pairs.py',
    '../_base_/models/cifar_resnet32_bcl.py',
    '../_base_/schedules/cifar_bcl_400e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(
        num_classes=_base_.num_classes,
        loss=dict(tau=0.79),
        label_start_epoch=161,
        top_k=30,
        omega=20 / 255,
    ),
    train_cfg=dict(augments=dict(type='ConCutMixAugment')),
)
