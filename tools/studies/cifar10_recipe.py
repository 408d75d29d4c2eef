# SAM and weight decay on CIFAR-10-LT, ratio 100, in 15 epochs, as recipe.py has them on the digits.
# mmlt compare tools/studies/cifar10_recipe.py --seeds 1
_base_ = './recipe.py'
CIFAR = '../../configs/cifar10_lt/resnet32_'
for_all = {'_delete_': True, 'default_hooks.checkpoint.interval': 5}
RECIPES = {
    'CE': (CIFAR + 'ce_15e_ir100.py', {}),
    'LA': (CIFAR + 'logit_adjustment_15e_ir100.py', {}),
    'VS': (CIFAR + 'ce_15e_ir100.py', _base_.VS),
    'BCL': (CIFAR + 'bcl_15e_ir100.py', {}),
    'ConCutMix': (CIFAR + 'concutmix_15e_ir100.py', {}),
}

study = {
    '_delete_': True,
    **{
        method + part: (recipe, {**options, **more})
        for method, (recipe, options) in RECIPES.items()
        for part, more in _base_.PARTS.items()
    },
}
