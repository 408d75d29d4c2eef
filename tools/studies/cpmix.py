# CP-Mix on the digits, beside other ways of mixing; LA = logit adjustment, tau 1.
CPMIX, CAR = 'resnet8_cpmix', 'resnet8_cpmix_car'
AUGMENT = 'model.train_cfg.augments.'
LOSS = 'model.head.loss.'
SAMPLER = 'train_dataloader.sampler.'
CROSS_ENTROPY = {LOSS + 'tau': 0.0, LOSS + 'prior': 'train'}
TRAIN_PRIOR = {LOSS + 'prior': 'train'}


def tau(value):
    return {AUGMENT + 'tau': value}


study = {
    'CE': ('resnet8_ce', {}),
    'LA': ('resnet8_logit_adjustment', {}),
    'CE + mixup': ('resnet8_ce', {'model.train_cfg.augments.type': 'Mixup',
                                  'model.train_cfg.augments.alpha': 1.0}),
    'CE + Remix': ('resnet8_remix', {}),
    'CE + balanced-partner mixup': (
        CPMIX, {**CROSS_ENTROPY, **tau(0.0), SAMPLER + 'law': 'balanced'}),
    'CE + CP-Mix, tau 0': (CPMIX, {**CROSS_ENTROPY, **tau(0.0)}),
    'CE + CP-Mix, tau 0.5': (CPMIX, {**CROSS_ENTROPY, **tau(0.5)}),
    'CE + CP-Mix, tau 1': (CPMIX, {**CROSS_ENTROPY, **tau(1.0)}),
    'CE + CP-Mix, tau 1, pairs': (
        CPMIX, {**CROSS_ENTROPY, **tau(1.0), SAMPLER + 'pairing': 'pairs'}),
    'LA (train) + CP-Mix, tau 0': (CPMIX, {**TRAIN_PRIOR, **tau(0.0)}),
    'LA (train) + CP-Mix, tau 1': (CPMIX, {**TRAIN_PRIOR, **tau(1.0)}),
    'LA (effective) + balanced-partner mixup': (CPMIX, {**tau(0.0), SAMPLER + 'law': 'balanced'}),
    'LA (effective) + CP-Mix, tau 0': (CPMIX, tau(0.0)),
    'LA (effective) + CP-Mix, tau 0.5': (CPMIX, tau(0.5)),
    'LA (effective) + CP-Mix, tau 1': (CPMIX, tau(1.0)),
    'LA (effective) + CP-Mix, tau 0, pairs': (CPMIX, {**tau(0.0), SAMPLER + 'pairing': 'pairs'}),
    'LA (effective) + CP-Mix, tau 0 + CAR': (
        CAR, {**tau(0.0), LOSS + 'criterion.prior': 'effective'}),
    'CE + CMO': ('resnet8_cmo', {}),
    'LA + UniMix': ('resnet8_unimix', {}),
}
