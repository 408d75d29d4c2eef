# ConCutMix (Pan et al., IEEE TIP 2024) with CAR (Zhu et al., CVPR 2026), views made on the GPU.
# tools/dist_train.sh configs/imagenet_lt/resnext50_concutmix_car_device_views.py 8
# 8 GPUs, batch 256; the extra mmlt[kornia]. Not yet run here.
# For machines with few CPU cores for each GPU: the loader makes one view and the whole image,
# resized; the two views to contrast are rendered from it on the model's device.
_base_ = './resnext50_concutmix_car.py'

data_preprocessor = dict(type='DeviceViewsDataPreprocessor', view_size=224, num_views=2)
source_view = [dict(type='Resize', scale=(320, 320))]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='MultiView', num_views=[1, 1], transforms=[_base_.classification_view, source_view]),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(dataset=dict(pipeline=train_pipeline)))
