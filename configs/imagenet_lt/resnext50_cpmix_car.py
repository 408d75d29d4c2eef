# CP-Mix (Yoon et al., arXiv 2411.07621) with CAR (Zhu et al., CVPR 2026).
# tools/dist_train.sh configs/imagenet_lt/resnext50_cpmix_car.py 8
# 8 GPUs, batch 256. Not yet run here.
_base_ = './resnext50_cpmix.py'

model = dict(
    head=dict(loss=dict(_delete_=True, type='CARLoss', criterion=dict(type='CrossEntropyLoss')))
)
