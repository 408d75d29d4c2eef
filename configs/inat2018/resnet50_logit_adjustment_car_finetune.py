# CAR (Zhu et al., CVPR 2026) on logit adjustment, fine-tuned.
# tools/dist_train.sh configs/inat2018/resnet50_logit_adjustment_car_finetune.py 8
# 8 GPUs, batch 256, ImageNet weights, all layers. Not yet run here.
_base_ = './resnet50_logit_adjustment_finetune.py'

model = dict(
    head=dict(loss=dict(_delete_=True, type='CARLoss', criterion=dict(type='LogitAdjustedLoss')))
)
