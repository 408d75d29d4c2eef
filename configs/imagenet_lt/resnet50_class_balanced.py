# Class-balanced sampling: class uniform, then image uniform within the class.
# tools/dist_train.sh configs/imagenet_lt/resnet50_class_balanced.py 8
# 8 GPUs, batch 256. Not yet run here.
_base_ = './resnet50_ce.py'

train_dataloader = dict(sampler=dict(_delete_=True, type='ClassBalancedSampler'))
