# ConCutMix (Pan et al., IEEE TIP 2024) with CAR (Zhu et al., CVPR 2026).
# tools/dist_train.sh configs/inat2018/resnet50_concutmix_car.py 8
# 8 GPUs, two batches of 128 accumulated. Not yet run here.
_base_ = './resnet50_concutmix.py'

model = dict(head=dict(loss_car=dict(type='CARLoss', criterion=None)))
