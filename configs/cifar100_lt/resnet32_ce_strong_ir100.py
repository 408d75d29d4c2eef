# Cross-entropy as DDC trains it (Wang et al., NeurIPS 2023): SAM, AutoAugment, Cutout, 400 epochs.
# python tools/train.py configs/cifar100_lt/resnet32_ce_strong_ir100.py
# 1 GPU, batch 128. Published top-1 (DDC), best epoch on the test set: 45.70 %. Not yet run here.
_base_ = [
    '../_base_/datasets/cifar100_lt_strong.py',
    '../_base_/models/cifar_resnet32.py',
    '../_base_/schedules/cifar_strong_400e.py',
    '../_base_/default_runtime.py',
]

optim_wrapper = dict(optimizer=dict(weight_decay=1e-4))
custom_hooks = [dict(type='SAMHook', rho=0.2)]
model = dict(head=dict(num_classes=_base_.num_classes))
