# Fine-tuning a whole convolutional network: AdamW, batch 256, 30 epochs. No recipe at this length
# was released with any of the methods here: this one is ours. The head begins at random and learns
# ten times as fast.
_base_ = './vit_200e.py'

optim_wrapper = dict(
    optimizer=dict(lr=1e-4),
    paramwise_cfg=dict(
        _delete_=True,
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
        custom_keys={'head.': dict(lr_mult=10.0)},
    ),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(_base_.param_scheduler[0], start_factor=1e-2, end=2),
    dict(_base_.param_scheduler[1], begin=2, end=30),
]
train_cfg = dict(max_epochs=30, val_interval=1)
auto_scale_lr = dict(base_batch_size=256)
