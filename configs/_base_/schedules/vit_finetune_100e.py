# Fine-tuning ViT-S: AdamW, batch 128. Learning rate, decay, batch, warm-up and 100 epochs as in
# CAR's released command; clipping and decay by kind are ours, and the rate is set at each iteration
# where the release sets it at each epoch.
_base_ = './vit_200e.py'

optim_wrapper = dict(optimizer=dict(lr=5e-5))
param_scheduler = [
    dict(_base_.param_scheduler[0], start_factor=1e-2, end=5),
    dict(_base_.param_scheduler[1], begin=5, end=100, eta_min=1e-6),
]
train_cfg = dict(max_epochs=100)
