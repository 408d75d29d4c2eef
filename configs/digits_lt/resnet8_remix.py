# Remix (Chou et al., ECCV workshops 2020) with cross-entropy.
# python tools/train.py configs/digits_lt/resnet8_remix.py
# Seconds on one CPU core; figures in docs/results/digits_lt.md.
_base_ = './resnet8_ce.py'

model = dict(train_cfg=dict(augments=dict(type='RemixBatchAugment', alpha=1.0)))
