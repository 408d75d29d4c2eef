# ImageNet-LT with three views of each image, of which the loader makes one: the two to contrast are
# rendered on the model's device from the whole image, resized. For machines with few CPU cores for
# each GPU; needs pip install 'mmlt[kornia]'.
_base_ = ['./imagenet_lt.py', './pipelines/rand_augment.py']

data_preprocessor = dict(type='DeviceViewsDataPreprocessor', view_size=224, num_views=2)

classification_view = [
    dict(type='RandomResizedCrop', scale=224),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4),
    {{_base_.rand_augment}},
]
source_view = [dict(type='Resize', scale=(320, 320))]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='MultiView', num_views=[1, 1], transforms=[classification_view, source_view]),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
