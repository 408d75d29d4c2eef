# Logit adjustment (Menon et al., ICLR 2021), tau 1. A short run for a CPU.
# python tools/train.py configs/cifar10_lt/resnet32_logit_adjustment_15e_ir100.py --amp
# Two CPU cores; figures in docs/results/cifar10_lt.md.
_base_ = './resnet32_ce_15e_ir100.py'

model = dict(head=dict(loss=dict(_delete_=True, type='LogitAdjustedLoss', tau=1.0)))
