# CIFAR-100-LT enlarged to 224 x 224 in three views, half of the batches with a partner for each
# image, to mix it with. Partners are drawn with every class equally likely.
_base_ = ['./cifar100_lt_224.py', './pipelines/cifar_views.py']

data_preprocessor = dict(type='PairedDataPreprocessor')
train_pipeline = [
    dict(
        type='MultiView',
        num_views=[1, 2],
        transforms=[
            _base_.train_pipeline[:2],
            [dict(_base_.contrastive_view[0], scale=224), *_base_.contrastive_view[1:]],
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
