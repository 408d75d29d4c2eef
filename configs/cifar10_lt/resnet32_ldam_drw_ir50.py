# LDAM with deferred re-weighting (Cao et al., NeurIPS 2019).
# python tools/train.py configs/cifar10_lt/resnet32_ldam_drw_ir50.py
# 1 GPU, batch 128. Not yet run for 200 epochs here.
_base_ = './resnet32_ldam_drw_ir100.py'

train_dataloader = dict(dataset=dict(imbalance_ratio=50))
