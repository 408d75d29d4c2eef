# LDAM with deferred re-weighting (Cao et al., NeurIPS 2019).
# python tools/train.py configs/digits_lt/resnet8_ldam_drw.py
# Seconds on one CPU core; figures in docs/results/digits_lt.md.
_base_ = './resnet8_ce.py'

model = dict(
    head=dict(
        type='CosineClsHead',
        scale=30.0,
        loss=dict(_delete_=True, type='LDAMLoss', max_margin=0.5, scale=30.0, logit_scale=30.0),
    )
)
default_hooks = dict(reweighting=dict(type='DeferredReweightingHook', start_epoch=32))
