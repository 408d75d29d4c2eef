# iNaturalist 2018 with BCL and ConCutMix, 100 epochs: SGD, batch 256, cosine. As in ConCutMix's
# released script, which accumulates two batches of 128; for BCL none was found.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.2, momentum=0.9, weight_decay=1e-4))
param_scheduler = dict(type='CosineAnnealingLR', T_max=100, by_epoch=True)
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=256, enable=True)
