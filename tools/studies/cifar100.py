# The main methods on CIFAR-100-LT, ratio 100, in 15 epochs with the schedule of the short runs on
# CIFAR-10-LT, with the images on the device. LA = logit adjustment, tau 1.
# mmlt compare tools/studies/cifar100.py --seeds 1 --jobs 5
_base_ = ['../../configs/_base_/schedules/cifar_15e.py', './cifar10.py']
CIFAR = '../../configs/cifar100_lt/resnet32_'
SINGLE, PAIRS = _base_.SINGLE, _base_.PAIRS
SINGLE_VIEWS, PAIRED_VIEWS = {**SINGLE, **_base_.VIEWS}, {**PAIRS, **_base_.VIEWS}
for_all = {
    'optim_wrapper': _base_.optim_wrapper,
    'param_scheduler': _base_.param_scheduler,
    'train_cfg': _base_.train_cfg,
    'auto_scale_lr': _base_.auto_scale_lr,
    'train_dataloader.batch_size': 128,
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
    '_delete_': True,
    'CE': (CIFAR + 'ce_ir100.py', SINGLE),
    'LA': (CIFAR + 'logit_adjustment_ir100.py', SINGLE),
    'VS': (CIFAR + 'vs_ir100.py', SINGLE),
    'CE + CAR': (CIFAR + 'car_ir100.py', SINGLE),
    'LA + CAR': (CIFAR + 'car_ir100.py', {**SINGLE, **_base_.LA}),
    'CP-Mix': (CIFAR + 'cpmix_ir100.py', PAIRS),
    'LA (effective prior) + balanced-partner mixup': (
        CIFAR + 'cpmix_ir100.py',
        {**PAIRS, **BALANCED},
    ),
    'BCL': (CIFAR + 'bcl_ir100.py', SINGLE_VIEWS),
    'ConCutMix': (CIFAR + 'concutmix_ir100.py', {**PAIRED_VIEWS, **LABELS}),
    'ConCutMix + CAR': (CIFAR + 'concutmix_car_ir100.py', {**PAIRED_VIEWS, **LABELS}),
}
