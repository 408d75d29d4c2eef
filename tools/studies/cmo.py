# CMO with and without deferred re-weighting or logit adjustment (LA, tau 1) on the digits, each
# beside the same without mixing.
# mmlt compare tools/studies/cmo.py --seeds 4
DIGITS = '../../configs/digits_lt/'
# Writing checkpoints takes longer than training does.
for_all = {'default_hooks.checkpoint.interval': 40, 'default_hooks.checkpoint.save_best': None}
# From the same share of the epochs on as in the published 200, whose learning rate also falls then.
DRW = {
    'model.head.loss.type': 'LogitAdjustedLoss',
    'model.head.loss.tau': 0.0,
    'default_hooks.reweighting': dict(type='DeferredReweightingHook', start_epoch=32),
}

study = {
    'CE': (DIGITS + 'resnet8_ce.py', {}),
    'CE-DRW': (DIGITS + 'resnet8_ce.py', DRW),
    'CE + CMO': (DIGITS + 'resnet8_cmo.py', {}),
    'CE-DRW + CMO': (DIGITS + 'resnet8_cmo.py', DRW),
    'LA': (DIGITS + 'resnet8_logit_adjustment.py', {}),
    'LA + CMO': (DIGITS + 'resnet8_cmo.py', {'model.head.loss.type': 'LogitAdjustedLoss'}),
}
