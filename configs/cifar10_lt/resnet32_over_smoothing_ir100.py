# Label over-smoothing (Sun et al., ICLR 2025): a classifier on frozen features, labels near 1 / K.
# python tools/train.py configs/cifar10_lt/resnet32_over_smoothing_ir100.py
# 1 GPU or 2 CPU cores, batch 128; after resnet32_ce_ir100.py. Not yet run here.
_base_ = './resnet32_crt_ir100.py'

train_dataloader = dict(sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True))
model = dict(
    head=dict(loss=dict(_delete_=True, type='LogitAdjustedLoss', tau=0, label_smooth_val=0.98))
)
