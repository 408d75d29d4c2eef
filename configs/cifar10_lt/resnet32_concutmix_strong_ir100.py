# ConCutMix (Pan et al., IEEE TIP 2024) on BCL with SAM, 400 epochs, cosine.
# python tools/train.py configs/cifar10_lt/resnet32_concutmix_strong_ir100.py
# 1 GPU, batch 256. Ours, with no published counterpart: rho is DDC's for VS, weight decay that of
# ConCutMix's released scripts. Not yet run here.
_base_ = './resnet32_concutmix_ir100.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=True, begin=0, end=10),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=10, end=400),
]
train_cfg = dict(max_epochs=400, val_interval=5)
custom_hooks = [dict(type='SAMHook', rho=0.1)]
model = dict(head=dict(label_start_epoch=201))
