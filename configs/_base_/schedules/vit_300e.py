# ViT-S on iNaturalist, 300 epochs (CAR); otherwise as the schedule of 200.
_base_ = './vit_200e.py'

param_scheduler = [_base_.param_scheduler[0], dict(_base_.param_scheduler[1], end=300)]
train_cfg = dict(max_epochs=300)
