# CIFAR-100-LT in three views of each image: one to classify, two to contrast, as in
# BCL and ConCutMix.
_base_ = ['./cifar100_lt.py', './pipelines/cifar_views.py']

data_preprocessor = dict(type='PairedDataPreprocessor')
train_pipeline = [
    dict(
        type='MultiView',
        num_views=[1, 2],
        transforms=[_base_.classification_view, _base_.contrastive_view],
    ),
    dict(type='PackInputs'),
]
train_dataloader = dict(batch_size=256, dataset=dict(pipeline=train_pipeline))
