# CIFAR-100-LT with AutoAugment and Cutout, which DDC's code calls RandAug.
_base_ = ['./cifar100_lt.py', './pipelines/cifar_views.py']

train_pipeline = [
    *_base_.classification_view,
    dict(type='ClippedCutout', size=16),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
