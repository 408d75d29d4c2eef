# SAM and weight decay on the digits, beside the losses that they are combined with; and BatchNorm
# of the views together or apart. LA = logit adjustment, tau 1; VS = vector scaling.
# mmlt compare tools/studies/recipe.py --seeds 3
DIGITS = '../../configs/digits_lt/'
# Writing checkpoints takes longer than training does.
for_all = {'default_hooks.checkpoint.interval': 40, 'default_hooks.checkpoint.save_best': None}
VS = {'model.head.loss.type': 'VSLoss', 'model.head.loss.tau': 1.25, 'model.head.loss.gamma': 0.15}
METHODS = {
    'CE': (DIGITS + 'resnet8_ce.py', {}),
    'LA': (DIGITS + 'resnet8_logit_adjustment.py', {}),
    'VS': (DIGITS + 'resnet8_ce.py', VS),
    'BCL': (DIGITS + 'resnet8_bcl.py', {}),
    'ConCutMix': (DIGITS + 'resnet8_concutmix.py', {}),
}
SAM = {'custom_hooks': [dict(type='SAMHook', rho=0.05)]}
DECAY = {'optim_wrapper.optimizer.weight_decay': 5e-3}
PARTS = {'': {}, ', weight decay 5e-3': DECAY, ', SAM': SAM, ', both': {**SAM, **DECAY}}
APART = {'model.batch_norm': 'apart'}

study = {
    method + part: (recipe, {**options, **more})
    for method, (recipe, options) in METHODS.items()
    for part, more in PARTS.items()
}
study['BCL, BatchNorm apart'] = (DIGITS + 'resnet8_bcl.py', APART)
study['ConCutMix, BatchNorm apart'] = (DIGITS + 'resnet8_concutmix.py', APART)
# The paper's constants for CIFAR-100-LT; those above are for CIFAR-10-LT.
LIGHT = {**VS, 'model.head.loss.tau': 0.75, 'model.head.loss.gamma': 0.05}
study['VS, tau 0.75, gamma 0.05'] = (DIGITS + 'resnet8_ce.py', LIGHT)
