# ConCutMix (Pan et al., IEEE TIP 2024) on BCL.
# python tools/train.py configs/cifar100_lt/resnet32_concutmix_ir100.py
# 1 GPU, batch 256. Published top-1, best epoch on the test set, subset of seed 10:
# 53.16 % (63.8/50.5/43.8). That subset: resnet32_concutmix_seed10_ir100.py. Not yet run here.
_base_ = [
    '../_base_/datasets/cifar100_lt_views_pairs.py',
    '../_base_/models/cifar_resnet32_bcl.py',
    '../_base_/schedules/cifar_bcl_200e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(
        num_classes=_base_.num_classes,
        loss=dict(tau=0.9),
        label_start_epoch=101,
        top_k=30,
        omega=20 / 255,
    ),
    train_cfg=dict(augments=dict(type='ConCutMixAugment')),
)
