# ConCutMix (Pan et al., IEEE TIP 2024) on BCL, with SAM and weight decay, 400 epochs.
# python tools/train.py configs/cifar100_lt/resnet32_concutmix_strong_ir100.py
# 1 GPU, batch 256. Not yet run here.
_base_ = './resnet32_concutmix_ir100.py'

optim_wrapper = dict(optimizer=dict(weight_decay=2e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=True, begin=0, end=10),
    dict(type='CosineAnnealingLR', T_max=390, by_epoch=True, begin=10, end=400),
]
train_cfg = dict(max_epochs=400, val_interval=5)
custom_hooks = [dict(type='SAMHook', rho=0.05)]
model = dict(head=dict(label_start_epoch=201))
