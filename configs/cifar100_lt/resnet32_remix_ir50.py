# Remix (Chou et al., ECCV workshops 2020) with cross-entropy.
# python tools/train.py configs/cifar100_lt/resnet32_remix_ir50.py
# 1 GPU, batch 128. Not yet run for 200 epochs here.
_base_ = './resnet32_remix_ir100.py'

train_dataloader = dict(dataset=dict(imbalance_ratio=50))
