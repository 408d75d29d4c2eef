# Remix (Chou et al., ECCV workshops 2020) with cross-entropy.
# python tools/train.py configs/cifar100_lt/resnet32_remix_ir100.py
# 1 GPU, batch 128. Not yet run for 200 epochs here.
_base_ = './resnet32_ce_ir100.py'

model = dict(train_cfg=dict(augments=dict(type='RemixBatchAugment', alpha=1.0)))
