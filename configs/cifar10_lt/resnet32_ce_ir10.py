# Cross-entropy, the baseline.
# python tools/train.py configs/cifar10_lt/resnet32_ce_ir10.py
# 1 GPU, batch 128. Not yet run for 200 epochs here.
_base_ = './resnet32_ce_ir100.py'

train_dataloader = dict(dataset=dict(imbalance_ratio=10))
