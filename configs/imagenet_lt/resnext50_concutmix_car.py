# ConCutMix (Pan et al., IEEE TIP 2024) with CAR (Zhu et al., CVPR 2026).
# tools/dist_train.sh configs/imagenet_lt/resnext50_concutmix_car.py 8
# 8 GPUs, batch 256. Not yet run here.
_base_ = './resnext50_concutmix.py'

model = dict(head=dict(loss_car=dict(type='CARLoss', criterion=None)))
