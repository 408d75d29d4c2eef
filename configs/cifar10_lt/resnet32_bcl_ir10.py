# Balanced contrastive learning (BCL; Zhu et al., CVPR 2022).
# python tools/train.py configs/cifar10_lt/resnet32_bcl_ir10.py
# 1 GPU, batch 256. Published top-1, probably with Cutout: 91.12 %. Not yet run here.
_base_ = './resnet32_bcl_ir100.py'

train_dataloader = dict(dataset=dict(imbalance_ratio=10))
