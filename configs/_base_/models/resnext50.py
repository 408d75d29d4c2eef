# ResNeXt-50 (32x4d). The leaf sets num_classes and the loss.
_base_ = './resnet50.py'

model = dict(backbone=dict(type='ResNeXt', groups=32, width_per_group=4))
