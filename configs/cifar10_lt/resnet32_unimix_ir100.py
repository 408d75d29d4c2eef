# UniMix (Xu et al., NeurIPS 2021) with the balanced softmax that it is published with.
# python tools/train.py configs/cifar10_lt/resnet32_unimix_ir100.py
# 1 GPU, batch 64. Not yet run here.
_base_ = [
    '../_base_/datasets/cifar10_lt.py',
    '../_base_/models/cifar_resnet32.py',
    '../_base_/schedules/cifar_200e.py',
    '../_base_/default_runtime.py',
]

data_preprocessor = dict(type='PairedDataPreprocessor')
train_dataloader = dict(
    batch_size=64,
    dataset=dict(_delete_=True, type='PairedDataset', dataset={{_base_.train_dataloader.dataset}}),
    sampler=dict(_delete_=True, type='PairSampler', partners=0.5),
    batch_sampler=dict(type='PairBatchSampler', prob=1.0),
)
model = dict(
    head=dict(num_classes=10, loss=dict(_delete_=True, type='LogitAdjustedLoss')),
    train_cfg=dict(augments=dict(type='UniMixBatchAugment')),
)
auto_scale_lr = dict(base_batch_size=64)
