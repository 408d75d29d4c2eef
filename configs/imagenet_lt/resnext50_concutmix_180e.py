# ConCutMix (Pan et al., IEEE TIP 2024) on BCL.
# tools/dist_train.sh configs/imagenet_lt/resnext50_concutmix_180e.py 8
# 8 GPUs, batch 256. Published top-1: 60.37 %. Not yet run here.
_base_ = './resnext50_concutmix.py'

param_scheduler = dict(T_max=180)
train_cfg = dict(max_epochs=180)
model = dict(head=dict(label_start_epoch=121))
