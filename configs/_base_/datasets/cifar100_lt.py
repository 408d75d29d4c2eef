# CIFAR-100-LT (Cao et al., NeurIPS 2019): as CIFAR-10-LT, with its mean and standard deviation too,
# as in the released code of every method here.
_base_ = './cifar10_lt.py'

num_classes = 100
data_preprocessor = dict(num_classes=num_classes)

train_dataloader = dict(dataset=dict(type='CIFAR100LT', data_root='data/cifar100'))
val_dataloader = dict(dataset=dict(type='CIFAR100LT', data_root='data/cifar100'))
test_dataloader = val_dataloader
