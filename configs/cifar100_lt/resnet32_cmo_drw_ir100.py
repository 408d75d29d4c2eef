# CMO (Park et al., CVPR 2022) with deferred re-weighting: "CE-DRW + CMO" of its released code.
# python tools/train.py configs/cifar100_lt/resnet32_cmo_drw_ir100.py
# 1 GPU, batch 128. Not yet run here.
_base_ = './resnet32_cmo_ir100.py'

# tau 0 is plain cross-entropy, in the loss that takes class weights.
model = dict(head=dict(loss=dict(_delete_=True, type='LogitAdjustedLoss', tau=0.0)))
default_hooks = dict(reweighting=dict(type='DeferredReweightingHook', start_epoch=160))
