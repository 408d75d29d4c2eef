# ConCutMix (Pan et al., IEEE TIP 2024) with CAR (Zhu et al., CVPR 2026), images on the GPU.
# python tools/train.py configs/cifar10_lt/resnet32_concutmix_car_device_images_ir100.py
# 1 GPU, batch 256; the extra mmlt[kornia]. Last epoch, here: 85.0 %
# (docs/results/cifar10_lt.md).
# The three views are those of resnet32_concutmix_car_ir100.py; the loader delivers nothing but
# indices.
_base_ = './resnet32_concutmix_car_ir100.py'

data_preprocessor = dict(
    type='DeviceImagesDataPreprocessor',
    padding=4,
    flip_prob=0.5,
    auto_augment_fill=128,
    num_views=2,
    view=dict(crop_scale=(0.2, 1.0), blur_prob=0.5),
)
train_pipeline = [dict(type='PackIndex')]
train_dataloader = dict(
    num_workers=1, persistent_workers=True, dataset=dict(dataset=dict(pipeline=train_pipeline))
)
