# BCL on ResNeXt-50 (32x4d), cosine classifier. The leaf sets num_classes.
_base_ = './resnet50_bcl.py'

model = dict(backbone=dict(type='ResNeXt', groups=32, width_per_group=4))
