# LDAM with deferred re-weighting (Cao et al., NeurIPS 2019).
# python tools/train.py configs/cifar100_lt/resnet32_ldam_drw_ir100.py
# 1 GPU, batch 128. Published top-1: 42.0 %. Not yet run for 200 epochs here.
_base_ = './resnet32_ce_ir100.py'

model = dict(
    head=dict(
        type='CosineClsHead',
        scale=30.0,
        loss=dict(_delete_=True, type='LDAMLoss', max_margin=0.5, scale=30.0, logit_scale=30.0),
    )
)
default_hooks = dict(reweighting=dict(type='DeferredReweightingHook', start_epoch=160))
