# ConCutMix (Pan et al., IEEE TIP 2024) on BCL.
# python tools/train.py configs/cifar10_lt/resnet32_concutmix_400e_ir100.py
# 1 GPU, batch 256. Not yet run here.
_base_ = [
    '../_base_/datasets/cifar10_lt_views.py',
    '../_base_/models/cifar_resnet32_bcl.py',
    '../_base_/schedules/cifar_bcl_400e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(
    dataset=dict(_delete_=True, type='PairedDataset', dataset={{_base_.train_dataloader.dataset}}),
    sampler=dict(_delete_=True, type='PairSampler', partners='balanced'),
    batch_sampler=dict(type='PairBatchSampler', prob=0.5),
)
model = dict(
    head=dict(num_classes=10, loss=dict(tau=0.85), label_start_epoch=160, top_k=3, omega=2 / 255),
    train_cfg=dict(augments=dict(type='ConCutMixAugment')),
)
