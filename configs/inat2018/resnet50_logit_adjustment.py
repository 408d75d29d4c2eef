# Logit adjustment (Menon et al., ICLR 2021), tau 1.
# tools/dist_train.sh configs/inat2018/resnet50_logit_adjustment.py 8
# 8 GPUs, batch 256. Not yet run here.
_base_ = './resnet50_ce.py'

model = dict(head=dict(loss=dict(_delete_=True, type='LogitAdjustedLoss', tau=1.0)))
