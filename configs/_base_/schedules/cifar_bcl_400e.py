# BCL and ConCutMix on CIFAR, 400 epochs: twice the warm-up, later steps.
# As in ConCutMix's released script for CIFAR-100-LT, ratio 100; for the other sets, and for BCL,
# none was released at this length.
_base_ = './cifar_bcl_200e.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=True, begin=0, end=10),
    dict(type='MultiStepLR', by_epoch=True, milestones=[360, 380], gamma=0.1),
]
train_cfg = dict(max_epochs=400)
