# iNaturalist 2018 with BCL and ConCutMix, 100 epochs, twice the learning rate. As in ConCutMix's
# released script, which contrasts batches of 128 and accumulates two; for BCL none was found.
_base_ = './inat2018_90e.py'

optim_wrapper = dict(accumulative_counts=2, optimizer=dict(lr=0.2))
param_scheduler = dict(T_max=100)
train_cfg = dict(max_epochs=100)
# of one batch; MMEngine does not count accumulation
auto_scale_lr = dict(base_batch_size=128)
