# BCL and ConCutMix on the digits: what each part adds. LA = logit adjustment, tau 1; the published
# omega makes gamma about 1e-3, the constants are far larger.
# mmlt compare tools/studies/concutmix.py --seeds 5 --jobs 2
DIGITS = '../../configs/digits_lt/'
# Writing checkpoints takes longer than training does.
for_all = {'default_hooks.checkpoint.interval': 40, 'default_hooks.checkpoint.save_best': None}
BCL, CONCUTMIX, CAR = (
    DIGITS + 'resnet8_bcl.py',
    DIGITS + 'resnet8_concutmix.py',
    DIGITS + 'resnet8_concutmix_car.py',
)
HEAD = 'model.head.'

study = {
    'LA': (DIGITS + 'resnet8_logit_adjustment.py', {}),
    'LA + BCL': (BCL, {}),
    'LA + BCL + balanced CutMix': (CONCUTMIX, {HEAD + 'label_start_epoch': None}),
    'ConCutMix, published omega': (CONCUTMIX, {}),
    'ConCutMix, gamma 0.1': (CONCUTMIX, {HEAD + 'confidence': 0.1}),
    'ConCutMix, gamma 0.3': (CONCUTMIX, {HEAD + 'confidence': 0.3}),
    'ConCutMix, effective prior': (CONCUTMIX, {HEAD + 'loss.prior': 'effective'}),
    'ConCutMix, prior half way': (CONCUTMIX, {HEAD + 'loss.prior': 0.5}),
    'ConCutMix + CAR': (CAR, {}),
    'ConCutMix + CAR, effective prior': (CAR, {HEAD + 'loss.prior': 'effective'}),
}
