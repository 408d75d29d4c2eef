# SAM and weight decay on CIFAR-10-LT, ratio 100, in 15 epochs, as recipe.py has them on the digits.
# BCL's and ConCutMix's views are made a batch at a time, in a quarter of the loader's time on a
# CPU; that needs the extra mmlt[kornia].
# mmlt compare tools/studies/cifar10_recipe.py --seeds 1
_base_ = './recipe.py'
CIFAR = '../../configs/cifar10_lt/resnet32_'
for_all = {'_delete_': True, 'default_hooks.checkpoint.interval': 5}
VIEWS = {
    'data_preprocessor.type': 'DeviceImagesDataPreprocessor',
    'data_preprocessor.padding': 4,
    'data_preprocessor.flip_prob': 0.5,
    'data_preprocessor.auto_augment_fill': 128,
    'data_preprocessor.num_views': 2,
    'data_preprocessor.view': dict(crop_scale=(0.2, 1.0), blur_prob=0.5),
}
SINGLE = {'train_dataloader.dataset.pipeline': [dict(type='PackIndex')]}
PAIRS = {'train_dataloader.dataset.dataset.pipeline': [dict(type='PackIndex')]}
RECIPES = {
    'CE': (CIFAR + 'ce_15e_ir100.py', {}),
    'LA': (CIFAR + 'logit_adjustment_15e_ir100.py', {}),
    'VS': (CIFAR + 'ce_15e_ir100.py', _base_.VS),
    'BCL': (CIFAR + 'bcl_15e_ir100.py', {**VIEWS, **SINGLE}),
    'ConCutMix': (CIFAR + 'concutmix_15e_ir100.py', {**VIEWS, **PAIRS}),
}

study = {
    '_delete_': True,
    **{
        method + part: (recipe, {**options, **more})
        for method, (recipe, options) in RECIPES.items()
        for part, more in _base_.PARTS.items()
    },
}
