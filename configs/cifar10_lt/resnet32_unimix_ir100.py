# UniMix (Xu et al., NeurIPS 2021) with the balanced softmax that it is published with.
# python tools/train.py configs/cifar10_lt/resnet32_unimix_ir100.py
# 1 GPU, batch 64. Not yet run here.
_base_ = [
    '../_base_/datasets/cifar10_lt_pairs.py',
    '../_base_/models/cifar_resnet32.py',
    '../_base_/schedules/cifar_200e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=64, sampler=dict(partners=0.5), batch_sampler=dict(prob=1.0))
model = dict(
    head=dict(num_classes=_base_.num_classes, loss=dict(_delete_=True, type='LogitAdjustedLoss')),
    train_cfg=dict(augments=dict(type='UniMixBatchAugment')),
)
auto_scale_lr = dict(base_batch_size=64)
