# Class-balanced sampling: class uniform, then image uniform within the class.
# python tools/train.py configs/cifar100_lt/resnet32_class_balanced_ir10.py
# 1 GPU, batch 128. Not yet run for 200 epochs here.
_base_ = './resnet32_class_balanced_ir100.py'

train_dataloader = dict(dataset=dict(imbalance_ratio=10))
