# The baselines on the digits.
# mmlt compare tools/studies/baselines.py --seeds 8 --jobs 2
DIGITS = '../../configs/digits_lt/'
# Writing checkpoints takes longer than training does.
for_all = {'default_hooks.checkpoint.interval': 40, 'default_hooks.checkpoint.save_best': None}
study = {
    'CE': (DIGITS + 'resnet8_ce.py', {}),
    'class-balanced sampling': (DIGITS + 'resnet8_class_balanced.py', {}),
    'LDAM-DRW': (DIGITS + 'resnet8_ldam_drw.py', {}),
    'Remix': (DIGITS + 'resnet8_remix.py', {}),
    'logit adjustment': (DIGITS + 'resnet8_logit_adjustment.py', {}),
}
