# BCL and ConCutMix on the digits: what each part adds. LA = logit adjustment, tau 1; the published
# omega makes gamma about 1e-3, the constants are far larger.
BCL, CONCUTMIX, CAR = 'resnet8_bcl', 'resnet8_concutmix', 'resnet8_concutmix_car'
HEAD = 'model.head.'

study = {
    'LA': ('resnet8_logit_adjustment', {}),
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
