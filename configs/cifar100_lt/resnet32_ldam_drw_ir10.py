# LDAM with deferred re-weighting (Cao et al., NeurIPS 2019).
# python tools/train.py configs/cifar100_lt/resnet32_ldam_drw_ir10.py
# 1 GPU, batch 128. Not yet run for 200 epochs here.
_base_ = [
    '../_base_/datasets/cifar100_lt.py',
    '../_base_/models/cifar_resnet32.py',
    '../_base_/schedules/cifar_200e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(dataset=dict(imbalance_ratio=10))
model = dict(
    head=dict(
        type='CosineClsHead',
        num_classes=100,
        scale=30.0,
        loss=dict(_delete_=True, type='LDAMLoss', max_margin=0.5, scale=30.0, logit_scale=30.0),
    )
)
default_hooks = dict(reweighting=dict(type='DeferredReweightingHook', start_epoch=160))
