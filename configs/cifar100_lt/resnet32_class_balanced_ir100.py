# Class-balanced sampling: class uniform, then image uniform within the class.
# python tools/train.py configs/cifar100_lt/resnet32_class_balanced_ir100.py
# 1 GPU, batch 128. Not yet run for 200 epochs here.
_base_ = './resnet32_ce_ir100.py'

train_dataloader = dict(sampler=dict(_delete_=True, type='ClassBalancedSampler'))
