# Logit adjustment (Menon et al., ICLR 2021), tau 1.
# python tools/train.py configs/digits_lt/resnet8_logit_adjustment.py
# Seconds on one CPU core; figures in docs/results/digits_lt.md.
_base_ = './resnet8_ce.py'

model = dict(head=dict(loss=dict(_delete_=True, type='LogitAdjustedLoss', tau=1.0)))
