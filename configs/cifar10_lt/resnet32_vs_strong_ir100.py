# Vector-scaling loss (VS; Kini et al., NeurIPS 2021) as DDC trains it: SAM, AutoAugment, Cutout.
# python tools/train.py configs/cifar10_lt/resnet32_vs_strong_ir100.py
# 1 GPU, batch 128. Published top-1 (DDC), best epoch on the test set: 86.29 %. Not yet run here.
_base_ = './resnet32_ce_strong_ir100.py'

optim_wrapper = dict(optimizer=dict(weight_decay=2e-4))
model = dict(head=dict(loss=dict(_delete_=True, type='VSLoss', tau=1.0, gamma=0.05)))
