# The long-tailed digits in three views, half of the batches with a partner for each image,
# to mix it with. Partners are drawn with every class equally likely.
_base_ = './digits_lt_views.py'

train_dataloader = dict(
    dataset=dict(_delete_=True, type='PairedDataset', dataset=_base_.train_dataloader.dataset),
    sampler=dict(_delete_=True, type='PairSampler', partners='balanced'),
    batch_sampler=dict(type='PairBatchSampler', prob=0.5),
)
