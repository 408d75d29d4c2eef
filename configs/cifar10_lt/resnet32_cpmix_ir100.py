# CP-Mix (Yoon et al., arXiv 2411.07621): mixup of confused classes.
# python tools/train.py configs/cifar10_lt/resnet32_cpmix_ir100.py
# 1 GPU, batch 128. Top-1 here: 78.3 % (docs/results/cifar10_lt.md).
_base_ = [
    '../_base_/datasets/cifar10_lt_pairs.py',
    '../_base_/models/cifar_resnet32.py',
    '../_base_/schedules/cifar_200e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(sampler=dict(partners='confusion', pairing='pairs'))
model = dict(
    head=dict(num_classes=_base_.num_classes),
    train_cfg=dict(augments=dict(type='CPMixBatchAugment', alpha=1.0, tau=1.0)),
)
