# Cross-entropy, the baseline.
# python tools/train.py configs/cifar10_lt/resnet32_ce_ir100.py
# 1 GPU, batch 128. Published top-1: 70.4 %; here 71.5 (docs/results/cifar10_lt.md).
_base_ = [
    '../_base_/datasets/cifar10_lt.py',
    '../_base_/models/cifar_resnet32.py',
    '../_base_/schedules/cifar_200e.py',
    '../_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=_base_.num_classes))
