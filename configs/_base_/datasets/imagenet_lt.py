# ImageNet-LT (Liu et al., CVPR 2019): 115,846 training images, 1,280 to 5 images per class.
num_classes = 1000
data_preprocessor = dict(
    num_classes=num_classes,
    # RGB
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    to_rgb=True,
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224, backend='pillow'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=256, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]

# 8 x 32: the published batch of 256. On another number of GPUs the learning rate is scaled.
train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=False,
    dataset=dict(
        type='ImageNetLT', data_root='data/imagenet_lt', split='train', pipeline=train_pipeline
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=False,
    dataset=dict(
        type='ImageNetLT',
        data_root='data/imagenet_lt',
        split='val',
        test_mode=True,
        pipeline=test_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_evaluator = dict(type='LongTailMetric')
test_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=False,
    dataset=dict(
        type='ImageNetLT',
        data_root='data/imagenet_lt',
        split='test',
        test_mode=True,
        pipeline=test_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
test_evaluator = val_evaluator
