# The long-tailed digits with three views of each image.
_base_ = './digits_lt.py'

data_preprocessor = dict(type='PairedDataPreprocessor')

classification_view = [dict(type='RandomCrop', crop_size=8, padding=1)]
contrastive_view = [dict(type='RandomResizedCrop', scale=8, crop_ratio_range=(0.6, 1.0))]
train_pipeline = [
    dict(type='MultiView', num_views=[1, 2], transforms=[classification_view, contrastive_view]),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
