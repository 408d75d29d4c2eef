# Places-LT (Liu et al., CVPR 2019): 62,500 training images, 4,980 to 5 images per class. Pipelines
# and loaders are those of ImageNet-LT.
_base_ = './imagenet_lt.py'

num_classes = 365
data_preprocessor = dict(num_classes=num_classes)

train_dataloader = dict(dataset=dict(type='PlacesLT', data_root='data/places_lt'))
val_dataloader = dict(dataset=dict(type='PlacesLT', data_root='data/places_lt'))
test_dataloader = dict(dataset=dict(type='PlacesLT', data_root='data/places_lt'))
