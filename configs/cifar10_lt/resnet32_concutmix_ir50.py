# ConCutMix (Pan et al., IEEE TIP 2024) on BCL.
# python tools/train.py configs/cifar10_lt/resnet32_concutmix_ir50.py
# 1 GPU, batch 256. Published top-1, best epoch on the test set, subset of seed 10: 88.00 %.
# Not yet run here.
_base_ = './resnet32_concutmix_ir100.py'

train_dataloader = dict(dataset=dict(dataset=dict(imbalance_ratio=50)))
model = dict(head=dict(loss=dict(tau=0.81)))
