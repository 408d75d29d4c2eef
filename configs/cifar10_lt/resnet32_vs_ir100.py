# Vector-scaling loss (VS; Kini et al., NeurIPS 2021), tau and gamma as in its paper.
# python tools/train.py configs/cifar10_lt/resnet32_vs_ir100.py
# 1 GPU, batch 128. Published top-1 (DDC, with its tau and gamma), best epoch on the test set:
# 80.29 %. Not yet run here.
_base_ = './resnet32_ce_ir100.py'

model = dict(head=dict(loss=dict(_delete_=True, type='VSLoss', tau=1.25, gamma=0.15)))
