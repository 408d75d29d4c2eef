# ConCutMix (Pan et al., IEEE TIP 2024) on BCL.
# tools/dist_train.sh configs/places_lt/resnet152_concutmix.py 8
# 8 GPUs, batch 256. No published recipe; settings as on ImageNet-LT. Not yet run here.
_base_ = [
    '../_base_/datasets/places_lt_views.py',
    '../_base_/models/resnet152_pretrained_bcl.py',
    '../_base_/schedules/places_lt_30e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(
    dataset=dict(_delete_=True, type='PairedDataset', dataset={{_base_.train_dataloader.dataset}}),
    sampler=dict(_delete_=True, type='PairSampler', partners='balanced'),
    batch_sampler=dict(type='PairBatchSampler', prob=0.5),
)
model = dict(
    head=dict(num_classes=365, label_start_epoch=20, top_k=30, omega=200 / 255),
    train_cfg=dict(augments=dict(type='ConCutMixAugment')),
)
