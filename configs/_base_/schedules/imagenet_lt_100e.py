# ImageNet-LT, 100 epochs.
_base_ = './imagenet_lt_90e.py'

param_scheduler = dict(T_max=100)
train_cfg = dict(max_epochs=100)
