# ImageNet-LT in BCL's three views and with partners, as imagenet_lt_views_pairs.py, but batches,
# validation and test are those of CAR.
_base_ = ['./imagenet_lt_car.py', './pipelines/photo_views.py']

data_preprocessor = dict(type='PairedDataPreprocessor')
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='MultiView',
        num_views=[1, 2],
        transforms=[_base_.classification_view, _base_.contrastive_view],
    ),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='PairedDataset',
        dataset=dict(_base_.train_dataloader.dataset, pipeline=train_pipeline),
    ),
    sampler=dict(_delete_=True, type='PairSampler', partners='balanced'),
    batch_sampler=dict(type='PairBatchSampler', prob=0.5),
)
