# LDAM with deferred re-weighting (Cao et al., NeurIPS 2019).
# python tools/train.py configs/digits_lt/resnet8_ldam_drw.py
# Seconds on one CPU core; figures in docs/results/digits_lt.md.
_base_ = [
    '../_base_/datasets/digits_lt.py',
    '../_base_/models/digits_resnet8.py',
    '../_base_/schedules/digits_40e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    head=dict(
        type='CosineClsHead',
        scale=30.0,
        loss=dict(_delete_=True, type='LDAMLoss', max_margin=0.5, scale=30.0, logit_scale=30.0),
    )
)
default_hooks = dict(reweighting=dict(type='DeferredReweightingHook', start_epoch=32))
