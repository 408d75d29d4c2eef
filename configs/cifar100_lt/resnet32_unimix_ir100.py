# UniMix (Xu et al., NeurIPS 2021) with the balanced softmax that it is published with.
# tools/train.py configs/cifar100_lt/resnet32_unimix_ir100.py
# 1 GPU, batch 128. Not yet run here.
_base_ = [
    '../_base_/datasets/cifar100_lt.py',
    '../_base_/models/cifar_resnet32.py',
    '../_base_/schedules/cifar_200e.py',
    '../_base_/default_runtime.py',
]

data_preprocessor = dict(type='PairedDataPreprocessor')
train_dataloader = dict(
    dataset=dict(
        _delete_=True, type='PairedDataset', dataset={{_base_.train_dataloader.dataset}}),
    sampler=dict(_delete_=True, type='PairSampler', law='inverse'),
    batch_sampler=dict(type='PairBatchSampler', prob=0.5))
model = dict(
    head=dict(num_classes=100, loss=dict(_delete_=True, type='LogitAdjustedLoss')),
    train_cfg=dict(augments=dict(type='UniMixBatchAugment')))
