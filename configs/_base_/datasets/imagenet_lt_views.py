# ImageNet-LT in three views of each image: one to classify, two to contrast, as in
# BCL and ConCutMix.
_base_ = ['./imagenet_lt.py', './pipelines/photo_views.py']

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
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
