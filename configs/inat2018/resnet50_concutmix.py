# ConCutMix (Pan et al., IEEE TIP 2024) on BCL.
# tools/dist_train.sh configs/inat2018/resnet50_concutmix.py 8
# 8 GPUs, batch 256. Not yet run here.
_base_ = [
    '../_base_/datasets/inat2018_views.py',
    '../_base_/models/resnet50_bcl.py',
    '../_base_/schedules/inat2018_100e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(
    dataset=dict(_delete_=True, type='PairedDataset', dataset={{_base_.train_dataloader.dataset}}),
    sampler=dict(_delete_=True, type='PairSampler', partners='balanced'),
    batch_sampler=dict(type='PairBatchSampler', prob=0.5),
)
model = dict(
    head=dict(num_classes=8142, label_start_epoch=80, top_k=30, omega=1628 / 255),
    train_cfg=dict(augments=dict(type='ConCutMixAugment')),
)
