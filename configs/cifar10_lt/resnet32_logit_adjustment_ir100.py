# Logit adjustment (Menon et al., ICLR 2021), tau 1.
# python tools/train.py configs/cifar10_lt/resnet32_logit_adjustment_ir100.py
# 1 GPU, batch 128. Published top-1: 77.9 % by the authors' code, 80.9 in later
# papers; here 77.8 (docs/results/cifar10_lt.md says more).
_base_ = './resnet32_ce_ir100.py'

model = dict(head=dict(loss=dict(_delete_=True, type='LogitAdjustedLoss', tau=1.0)))
