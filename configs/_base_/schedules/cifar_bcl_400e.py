# BCL and ConCutMix on CIFAR, 400 epochs: SGD, batch 256, 5 epochs of warm-up.
# Learning rate, decay and milestones are set without the released scripts at hand: compare them
# before quoting a figure as a reproduction.
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.15, momentum=0.9, weight_decay=5e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.2, by_epoch=True, begin=0, end=5),
    dict(type='MultiStepLR', by_epoch=True, milestones=[320, 360], gamma=0.1),
]
train_cfg = dict(by_epoch=True, max_epochs=400, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=256, enable=True)
