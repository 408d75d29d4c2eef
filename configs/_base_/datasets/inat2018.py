# iNaturalist 2018: 437,513 training images, 1000 to 2 a class.
num_classes = 8142
data_preprocessor = dict(
    num_classes=num_classes,
    # RGB
    mean=[118.83, 120.105, 96.9],
    std=[49.725, 49.47, 48.96],
    to_rgb=True,
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=256, edge='short'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs'),
]

# 8 x 32: the published batch of 256. On another number of GPUs the learning rate is scaled.
train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=False,
    worker_init_fn=dict(type='seed_worker_of_epoch'),
    dataset=dict(
        type='INaturalist2018', data_root='data/inat2018', split='train', pipeline=train_pipeline
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=False,
    dataset=dict(
        type='INaturalist2018',
        data_root='data/inat2018',
        split='val',
        test_mode=True,
        pipeline=test_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_evaluator = dict(type='LongTailMetric')
# The test labels were never published: papers report the validation set.
test_dataloader = val_dataloader
test_evaluator = val_evaluator
