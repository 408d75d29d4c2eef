# iNaturalist 2018: 437,513 training images, 1,000 to 2 images per class. The loaders are those of
# ImageNet-LT.
_base_ = './imagenet_lt.py'

num_classes = 8142
data_preprocessor = dict(
    num_classes=num_classes,
    # RGB
    mean=[118.83, 120.105, 96.9],
    std=[49.725, 49.47, 48.96],
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224, backend='pillow'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    dataset=dict(type='INaturalist2018', data_root='data/inat2018', pipeline=train_pipeline)
)
val_dataloader = dict(dataset=dict(type='INaturalist2018', data_root='data/inat2018'))
# The test labels were never published: papers report the validation set.
test_dataloader = dict(dataset=dict(type='INaturalist2018', data_root='data/inat2018', split='val'))
