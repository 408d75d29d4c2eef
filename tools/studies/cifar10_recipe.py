# SAM and weight decay on CIFAR-10-LT, ratio 100, in 15 epochs, as recipe.py has them on the digits.
# mmlt compare tools/studies/cifar10_recipe.py --seeds 1
CIFAR = '../../configs/cifar10_lt/resnet32_'
for_all = {'default_hooks.checkpoint.interval': 5}
VS = {'model.head.loss.type': 'VSLoss', 'model.head.loss.tau': 1.25, 'model.head.loss.gamma': 0.15}
METHODS = {
    'CE': (CIFAR + 'ce_15e_ir100.py', {}),
    'LA': (CIFAR + 'logit_adjustment_15e_ir100.py', {}),
    'VS': (CIFAR + 'ce_15e_ir100.py', VS),
    'BCL': (CIFAR + 'bcl_15e_ir100.py', {}),
    'ConCutMix': (CIFAR + 'concutmix_15e_ir100.py', {}),
}
SAM = {'custom_hooks': [dict(type='SAMHook', rho=0.05)]}
DECAY = {'optim_wrapper.optimizer.weight_decay': 5e-3}
PARTS = {'': {}, ', weight decay 5e-3': DECAY, ', SAM': SAM, ', both': {**SAM, **DECAY}}

study = {
    method + part: (recipe, {**options, **more})
    for method, (recipe, options) in METHODS.items()
    for part, more in PARTS.items()
}
