# BCL on ResNet-152 from ImageNet weights, cosine classifier. The leaf sets num_classes.
_base_ = './resnet50_bcl.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=152,
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet152'),
    )
)
