# What `make demo` trains: methods on long-tailed digits.
# mmlt compare tools/studies/demo.py --jobs 2
DIGITS = '../../configs/digits_lt/'
# Writing checkpoints takes longer than training does.
for_all = {'default_hooks.checkpoint.interval': 40, 'default_hooks.checkpoint.save_best': None}

study = {
    'CE': DIGITS + 'resnet8_ce.py',
    'logit adjustment': DIGITS + 'resnet8_logit_adjustment.py',
    'CE + CAR': DIGITS + 'resnet8_car.py',
    'ConCutMix': DIGITS + 'resnet8_concutmix.py',
    'ConCutMix + CAR': DIGITS + 'resnet8_concutmix_car.py',
    'CP-Mix': DIGITS + 'resnet8_cpmix.py',
}
