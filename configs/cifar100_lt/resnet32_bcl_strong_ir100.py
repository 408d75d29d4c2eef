# Balanced contrastive learning (BCL; Zhu et al., CVPR 2022) with SAM, 400 epochs, cosine.
# python tools/train.py configs/cifar100_lt/resnet32_bcl_strong_ir100.py
# 1 GPU, batch 256. Ours, with no published counterpart: rho is DDC's for VS, weight decay that of
# ConCutMix's released scripts. Not yet run here.
_base_ = './resnet32_bcl_ir100.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=True, begin=0, end=10),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=10, end=400),
]
train_cfg = dict(max_epochs=400, val_interval=5)
custom_hooks = [dict(type='SAMHook', rho=0.3)]
