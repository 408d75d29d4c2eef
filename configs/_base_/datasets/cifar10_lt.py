# CIFAR-10-LT (Cao et al., NeurIPS 2019): the official files under data/, an exponential profile
# imposed on the training split, the test split as it is. A leaf sets another imbalance_ratio.
num_classes = 10
data_preprocessor = dict(
    num_classes=num_classes,
    # RGB
    mean=[125.307, 122.961, 113.8575],
    std=[51.5865, 50.847, 51.255],
    to_rgb=False,
)

train_pipeline = [
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackInputs'),
]
test_pipeline = [dict(type='PackInputs')]

train_dataloader = dict(
    batch_size=128,
    num_workers=2,
    persistent_workers=False,
    dataset=dict(
        type='CIFAR10LT',
        data_root='data/cifar10',
        split='train',
        imbalance_ratio=100,
        pipeline=train_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=500,
    num_workers=2,
    persistent_workers=False,
    dataset=dict(
        type='CIFAR10LT',
        data_root='data/cifar10',
        split='test',
        test_mode=True,
        pipeline=test_pipeline,
    ),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_evaluator = dict(type='LongTailMetric')
test_dataloader = val_dataloader
test_evaluator = val_evaluator
