# Balanced contrastive learning (BCL; Zhu et al., CVPR 2022).
# tools/dist_train.sh configs/imagenet_lt/resnext50_bcl_180e.py 8
# 8 GPUs, batch 256. Not yet run here.
_base_ = './resnext50_bcl.py'

param_scheduler = dict(T_max=180)
train_cfg = dict(max_epochs=180)
