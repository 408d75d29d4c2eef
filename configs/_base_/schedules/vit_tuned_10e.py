# Adapters: SGD, batch 128, 10 epochs, cosine by epoch, one learning rate for adapters and head, as
# in the released code of LIFT (Shi et al., ICML 2024) on ImageNet-LT, Places-LT and CIFAR-100-LT.
# lr_mult gives the head a learning rate of its own.
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4),
    paramwise_cfg=dict(custom_keys={'head.': dict(lr_mult=1.0)}),
)
param_scheduler = dict(type='CosineAnnealingLR', T_max=10, by_epoch=True)
train_cfg = dict(by_epoch=True, max_epochs=10, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=128, enable=True)
