# LDAM with deferred re-weighting (Cao et al., NeurIPS 2019).
# python tools/train.py configs/cifar10_lt/resnet32_ldam_drw_ir100.py
# 1 GPU, batch 128. Published top-1: 77.0 %. Not yet run for 200 epochs here.
_base_ = [
    '../_base_/datasets/cifar10_lt.py',
    '../_base_/models/cifar_resnet32.py',
    '../_base_/schedules/cifar_200e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(
        type='CosineClsHead',
        num_classes=10,
        scale=30.0,
        loss=dict(_delete_=True, type='LDAMLoss', max_margin=0.5, scale=30.0, logit_scale=30.0),
    )
)
default_hooks = dict(reweighting=dict(type='DeferredReweightingHook', start_epoch=160))
