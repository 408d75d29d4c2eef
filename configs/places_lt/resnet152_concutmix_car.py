# ConCutMix (Pan et al., IEEE TIP 2024) with CAR (Zhu et al., CVPR 2026).
# tools/dist_train.sh configs/places_lt/resnet152_concutmix_car.py 8
# 8 GPUs, batch 256. No published recipe; settings as on ImageNet-LT. Not yet run here.
_base_ = './resnet152_concutmix.py'

model = dict(head=dict(loss_car=dict(type='CARLoss', criterion=None)))
