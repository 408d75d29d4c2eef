# DDC (Wang et al., NeurIPS 2023) for 400 epochs, as its code does: a warm-up of 10 epochs to twice
# the learning rate of 0.1, times 0.01 at epochs 320 and 360. The leaf sets weight decay and rho,
# which were tuned for each loss and data set.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.2, momentum=0.9))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=True, begin=0, end=10),
    dict(type='MultiStepLR', by_epoch=True, milestones=[10], gamma=0.5),
    dict(type='MultiStepLR', by_epoch=True, milestones=[320, 360], gamma=0.01),
]
train_cfg = dict(by_epoch=True, max_epochs=400, val_interval=5)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=128, enable=True)
