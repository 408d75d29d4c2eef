# scikit-learn's bundled handwritten digits, 8 x 8, made long-tailed: 305 training images at
# ratio 50, 60 test images per class. Nothing is downloaded.
num_classes = 10
data_preprocessor = dict(num_classes=num_classes, mean=[77.9] * 3, std=[96.0] * 3)

train_pipeline = [dict(type='RandomCrop', crop_size=8, padding=1), dict(type='PackInputs')]
test_pipeline = [dict(type='PackInputs')]

train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    dataset=dict(type='DigitsLT', split='train', imbalance_ratio=50, pipeline=train_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=True),
)
val_dataloader = dict(
    batch_size=600,
    num_workers=0,
    dataset=dict(type='DigitsLT', split='test', test_mode=True, pipeline=test_pipeline),
    sampler=dict(type='DefaultSampler', shuffle=False),
)
val_evaluator = dict(type='LongTailMetric')
test_dataloader = val_dataloader
test_evaluator = val_evaluator
