# CIFAR-100-LT enlarged to 224 x 224, half of the batches with a partner for each image.
# Partners are drawn with every class equally likely; a recipe may choose others.
_base_ = './cifar100_lt_224.py'

data_preprocessor = dict(type='PairedDataPreprocessor')
train_dataloader = dict(
    dataset=dict(_delete_=True, type='PairedDataset', dataset=_base_.train_dataloader.dataset),
    sampler=dict(_delete_=True, type='PairSampler', partners='balanced'),
    batch_sampler=dict(type='PairBatchSampler', prob=0.5),
)
