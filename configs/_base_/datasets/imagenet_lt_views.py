# ImageNet-LT with three views of each image: one to classify (RandAugment), two
# to contrast (SimCLR), as in BCL and ConCutMix. Hue by torchvision: mmcv's jitter overflows with
# numpy 2.
_base_ = ['./imagenet_lt.py', './pipelines/rand_augment.py']

data_preprocessor = dict(type='PairedDataPreprocessor')

classification_view = [
    dict(type='RandomResizedCrop', scale=224),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4),
    {{_base_.rand_augment}},
]
contrastive_view = [
    dict(type='RandomResizedCrop', scale=224),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='NumpyToPIL', to_rgb=True),
    dict(
        type='RandomApply',
        prob=0.8,
        transforms=[
            dict(
                type='torchvision/ColorJitter',
                brightness=0.4,
                contrast=0.4,
                saturation=0.4,
                hue=0.1,
            )
        ],
    ),
    dict(type='torchvision/RandomGrayscale', p=0.2),
    dict(type='PILToNumpy', to_bgr=True),
]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='MultiView', num_views=[1, 2], transforms=[classification_view, contrastive_view]),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
