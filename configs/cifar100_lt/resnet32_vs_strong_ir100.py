# Vector-scaling loss (VS; Kini et al., NeurIPS 2021) with the strong recipe.
# python tools/train.py configs/cifar100_lt/resnet32_vs_strong_ir100.py
# 1 GPU, batch 128. Published top-1 (DDC), best epoch on the test set: 52.09 %. Not yet run here.
_base_ = './resnet32_ce_strong_ir100.py'

model = dict(head=dict(loss=dict(_delete_=True, type='VSLoss', tau=0.75, gamma=0.05)))
