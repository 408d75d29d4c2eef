# BCL and ConCutMix on CIFAR, 400 epochs: SGD, batch 256, 10 epochs of warm-up.
# As in ConCutMix's released script for CIFAR-100-LT, ratio 100; for the other sets, and for BCL,
# none was released at this length.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.15, momentum=0.9, weight_decay=5e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=True, begin=0, end=10),
    dict(type='MultiStepLR', by_epoch=True, milestones=[360, 380], gamma=0.1),
]
train_cfg = dict(by_epoch=True, max_epochs=400, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=256, enable=True)
