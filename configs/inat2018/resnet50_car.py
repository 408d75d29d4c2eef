# Confusion-aware spectral regulariser (CAR; Zhu et al., CVPR 2026) on cross-entropy.
# tools/dist_train.sh configs/inat2018/resnet50_car.py 8
# 8 GPUs, batch 256. Not yet run here.
_base_ = './resnet50_ce.py'

model = dict(
    head=dict(loss=dict(_delete_=True, type='CARLoss', criterion=dict(type='CrossEntropyLoss')))
)
