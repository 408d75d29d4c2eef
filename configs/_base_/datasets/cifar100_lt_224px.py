# CIFAR-100-LT for transformers with 16-pixel patches: the 32 x 32 pixels are augmented as
# elsewhere, then enlarged to 224 x 224.
_base_ = './cifar100_lt.py'

enlarge = dict(type='Resize', scale=224, interpolation='bicubic', backend='pillow')
train_pipeline = [
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    enlarge,
    dict(type='PackInputs'),
]
test_pipeline = [enlarge, dict(type='PackInputs')]

train_dataloader = dict(num_workers=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=100, num_workers=8, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
