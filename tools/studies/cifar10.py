# The main methods on CIFAR-10-LT, ratio 100, in the published 200 epochs, with the images on the
# device. LA = logit adjustment, tau 1.
# mmlt compare tools/studies/cifar10.py --seeds 1 --jobs 7
CIFAR = '../../configs/cifar10_lt/resnet32_'
for_all = {
    'train_cfg.val_interval': 10,
    'default_hooks.checkpoint.interval': 20,
    'default_hooks.checkpoint.save_best': None,
    'train_dataloader.num_workers': 1,
    'train_dataloader.persistent_workers': True,
    'data_preprocessor.type': 'DeviceImagesDataPreprocessor',
    'data_preprocessor.padding': 4,
    'data_preprocessor.flip_prob': 0.5,
}
PAIRS = {'train_dataloader.dataset.dataset.pipeline': [dict(type='PackIndex')]}
SINGLE = {'train_dataloader.dataset.pipeline': [dict(type='PackIndex')]}
VIEWS = {
    'data_preprocessor.auto_augment_fill': 128,
    'data_preprocessor.num_views': 2,
    'data_preprocessor.view': dict(crop_scale=(0.2, 1.0), blur_prob=0.5),
}
LA = {'model.head.loss.criterion.type': 'LogitAdjustedLoss'}

study = {
    'CE': (CIFAR + 'ce_ir100.py', SINGLE),
    'LA': (CIFAR + 'logit_adjustment_ir100.py', SINGLE),
    'CP-Mix': (CIFAR + 'cpmix_ir100.py', PAIRS),
    'LA + CAR': (CIFAR + 'car_ir100.py', {**SINGLE, **LA}),
    'ConCutMix + CAR': (CIFAR + 'concutmix_car_ir100.py', {**PAIRS, **VIEWS}),
    'ConCutMix': (CIFAR + 'concutmix_ir100.py', {**PAIRS, **VIEWS}),
    'BCL': (CIFAR + 'bcl_ir100.py', {**SINGLE, **VIEWS}),
}
