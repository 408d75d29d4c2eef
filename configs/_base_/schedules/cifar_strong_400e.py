# The strong recipe on CIFAR: sharpness-aware minimisation, weight decay 5e-3 as Alshammari et al.
# (CVPR 2022) tuned it for CIFAR-100-LT, ratio 100, and cosine decay over 400 epochs.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=5e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.2, by_epoch=True, begin=0, end=5),
    dict(type='CosineAnnealingLR', T_max=395, by_epoch=True, begin=5, end=400),
]
train_cfg = dict(by_epoch=True, max_epochs=400, val_interval=5)
val_cfg = dict()
test_cfg = dict()
custom_hooks = [dict(type='SAMHook', rho=0.05)]
auto_scale_lr = dict(base_batch_size=128, enable=True)
