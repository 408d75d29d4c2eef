# ConCutMix (Pan et al., IEEE TIP 2024) on BCL.
# tools/dist_train.sh configs/imagenet_lt/resnet50_concutmix.py 8
# 8 GPUs, batch 256. Published top-1: 58.49 %. Not yet run here.
_base_ = [
    '../_base_/datasets/imagenet_lt_views.py',
    '../_base_/models/resnet50_bcl.py',
    '../_base_/schedules/imagenet_lt_100e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(
    dataset=dict(_delete_=True, type='PairedDataset', dataset={{_base_.train_dataloader.dataset}}),
    sampler=dict(_delete_=True, type='PairSampler', partners='balanced'),
    batch_sampler=dict(type='PairBatchSampler', prob=0.5),
)
model = dict(
    head=dict(num_classes=1000, label_start_epoch=70, top_k=30, omega=200 / 255),
    train_cfg=dict(augments=dict(type='ConCutMixAugment')),
)
