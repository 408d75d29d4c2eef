# Logit adjustment (Menon et al., ICLR 2021), tau 1.
# python tools/train.py configs/cifar100_lt/resnet32_logit_adjustment_ir100.py
# 1 GPU, batch 128. Published top-1: 43.9 %. Not yet run for 200 epochs here.
_base_ = './resnet32_ce_ir100.py'

model = dict(head=dict(loss=dict(_delete_=True, type='LogitAdjustedLoss', tau=1.0)))
