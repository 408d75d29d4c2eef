# Balanced contrastive learning (BCL; Zhu et al., CVPR 2022), with Cutout.
# python tools/train.py configs/cifar10_lt/resnet32_bcl_cutout_ir100.py
# 1 GPU, batch 256. The view to classify loses a square of 16 pixels after AutoAugment, as in ProCo,
# whose code derives from BCL's; BCL's own for CIFAR was not released. Not yet run here.
_base_ = './resnet32_bcl_ir100.py'

classification_view = [*_base_.classification_view, dict(type='ClippedCutout', size=16)]
train_pipeline = [
    dict(
        type='MultiView',
        num_views=[1, 2],
        transforms=[classification_view, _base_.contrastive_view],
    ),
    dict(type='PackInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
