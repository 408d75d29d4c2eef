# As cifar100_lt_views_pairs.py, each view enlarged to 224 x 224 at its end.
_base_ = ['./cifar100_lt_224px.py', './pipelines/cifar_views.py']

data_preprocessor = dict(type='PairedDataPreprocessor')
train_pipeline = [
    dict(
        type='MultiView',
        num_views=[1, 2],
        transforms=[
            [*_base_.classification_view, _base_.enlarge],
            [*_base_.contrastive_view, _base_.enlarge],
        ],
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
