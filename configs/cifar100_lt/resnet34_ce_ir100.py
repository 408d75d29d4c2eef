# Cross-entropy, ResNet-34: the first stage of label over-smoothing (Sun et al., ICLR 2025).
# python tools/train.py configs/cifar100_lt/resnet34_ce_ir100.py
# 1 GPU, batch 64. League B. Not yet run here. The schedule is that of the authors' code, which
# takes the first images of each class, and goes on with the best epoch on the test set.
_base_ = [
    '../_base_/datasets/cifar100_lt.py',
    '../_base_/models/cifar_resnet34.py',
    '../_base_/schedules/cifar_over_smoothing_200e.py',
    '../_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=_base_.num_classes))
train_dataloader = dict(batch_size=64)
