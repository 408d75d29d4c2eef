# ResNet-152 from ImageNet weights, as all published figures on Places-LT. The leaf sets
# num_classes and the loss.
_base_ = './resnet50.py'

model = dict(
    backbone=dict(depth=152, init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet152'))
)
