# Second stage of Sun et al., ICLR 2025, as their code has it: the classifier goes on for 20 epochs.
optim_wrapper = dict(optimizer=dict(type='SGD', lr=5e-4, momentum=0.9, weight_decay=0))
param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=True, T_max=20)]
train_cfg = dict(by_epoch=True, max_epochs=20, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=64, enable=True)
