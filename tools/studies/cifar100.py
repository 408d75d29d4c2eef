# The main methods on CIFAR-100-LT, ratio 100, in 15 epochs with the schedule of the short runs on
# CIFAR-10-LT. LA = logit adjustment, tau 1.
# mmlt compare tools/studies/cifar100.py --seeds 1
_base_ = '../../configs/_base_/schedules/cifar_15e.py'
CIFAR = '../../configs/cifar100_lt/resnet32_'
for_all = {
    'optim_wrapper': _base_.optim_wrapper,
    'param_scheduler': _base_.param_scheduler,
    'train_cfg': _base_.train_cfg,
    'auto_scale_lr': _base_.auto_scale_lr,
    'train_dataloader.batch_size': 128,
    'default_hooks.channels_last': dict(type='ChannelsLastHook'),
    'default_hooks.checkpoint.interval': 5,
}
LABELS = {'model.head.label_start_epoch': 8}
BALANCED = {
    'train_dataloader.sampler.partners': 'balanced',
    'train_dataloader.sampler.pairing': 'anchor',
    'model.train_cfg.augments.tau': 0.0,
    'model.head.loss.type': 'LogitAdjustedLoss',
    'model.head.loss.prior': 'effective',
}

study = {
    'CE': (CIFAR + 'ce_ir100.py', {}),
    'LA': (CIFAR + 'logit_adjustment_ir100.py', {}),
    'VS': (CIFAR + 'vs_ir100.py', {}),
    'CE + CAR': (CIFAR + 'car_ir100.py', {}),
    'LA + CAR': (CIFAR + 'car_ir100.py', {'model.head.loss.criterion.type': 'LogitAdjustedLoss'}),
    'CP-Mix': (CIFAR + 'cpmix_ir100.py', {}),
    'LA (effective prior) + balanced-partner mixup': (CIFAR + 'cpmix_ir100.py', BALANCED),
    'BCL': (CIFAR + 'bcl_ir100.py', {}),
    'ConCutMix': (CIFAR + 'concutmix_ir100.py', LABELS),
    'ConCutMix + CAR': (CIFAR + 'concutmix_car_ir100.py', LABELS),
}
