# Class-balanced sampling: class uniform, then image uniform within the class.
# python tools/train.py configs/digits_lt/resnet8_class_balanced.py
# Seconds on one CPU core; figures in docs/results/digits_lt.md.
_base_ = './resnet8_ce.py'

train_dataloader = dict(sampler=dict(_delete_=True, type='ClassBalancedSampler'))
