# Cross-entropy, ResNet-34: the first stage of label over-smoothing (Sun et al., ICLR 2025).
# python tools/train.py configs/cifar100_lt/resnet34_ce_ir100.py
# 1 GPU, batch 64. League B. Not yet run here. The schedule is that of the authors' code; they take
# the first images of each class, and the best epoch on the test images.
_base_ = [
    '../_base_/datasets/cifar100_lt.py',
    '../_base_/models/cifar_resnet34.py',
    '../_base_/default_runtime.py',
]

model = dict(head=dict(num_classes=_base_.num_classes))
train_dataloader = dict(batch_size=64)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-3))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=True, T_max=200)]
train_cfg = dict(by_epoch=True, max_epochs=200, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=64, enable=True)
