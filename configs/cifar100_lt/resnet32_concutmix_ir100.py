# ConCutMix (Pan et al., IEEE TIP 2024) on BCL.
# python tools/train.py configs/cifar100_lt/resnet32_concutmix_ir100.py
# 1 GPU, batch 256. Published top-1: 53.16 % (63.8/50.5/43.8). Not yet run here.
_base_ = [
    '../_base_/datasets/cifar100_lt_views.py',
    '../_base_/models/cifar_resnet32_bcl.py',
    '../_base_/schedules/cifar_bcl_200e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(
    dataset=dict(_delete_=True, type='PairedDataset', dataset={{_base_.train_dataloader.dataset}}),
    sampler=dict(_delete_=True, type='PairSampler', partners='balanced'),
    batch_sampler=dict(type='PairBatchSampler', prob=0.5),
)
model = dict(
    head=dict(num_classes=100, label_start_epoch=100, top_k=30, omega=20 / 255),
    train_cfg=dict(augments=dict(type='ConCutMixAugment')),
)
