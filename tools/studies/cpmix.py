# CP-Mix on the digits, beside other ways of mixing; LA = logit adjustment, tau 1. Half of the
# batches are mixed where nothing else is said; UniMix mixes every one. The recipe replaces half of
# the entries by confusion pairs, as the paper draws them; "anchor" is this project's variant, which
# keeps the anchors and draws their partners only.
CPMIX, CAR = 'resnet8_cpmix', 'resnet8_cpmix_car'
AUGMENT = 'model.train_cfg.augments.'
LOSS = 'model.head.loss.'
SAMPLER = 'train_dataloader.sampler.'
LA_TRAIN = {LOSS + 'type': 'LogitAdjustedLoss', LOSS + 'prior': 'train'}
LA_EFFECTIVE = {LOSS + 'type': 'LogitAdjustedLoss', LOSS + 'prior': 'effective'}
ANCHOR = {SAMPLER + 'pairing': 'anchor'}
BALANCED = {SAMPLER + 'partners': 'balanced', **ANCHOR}
MIXUP = {AUGMENT + 'type': 'Mixup', AUGMENT + 'alpha': 1.0}
RAW = {SAMPLER + 'normalize_confusion': False}


def tau(value):
    return {AUGMENT + 'tau': value}


study = {
    'CE': ('resnet8_ce', {}),
    'LA': ('resnet8_logit_adjustment', {}),
    'CE + mixup': ('resnet8_ce', {**MIXUP, 'model.train_cfg.probs': 0.5}),
    'CE + mixup, every batch': ('resnet8_ce', MIXUP),
    'CE + Remix': ('resnet8_remix', {AUGMENT + 'prob': 0.5}),
    'CE + Remix, every batch': ('resnet8_remix', {}),
    'CE + CMO': ('resnet8_cmo', {}),
    'LA + UniMix': ('resnet8_unimix', {}),
    'CE + balanced-partner mixup': (CPMIX, {**tau(0.0), **BALANCED}),
    'CE + CP-Mix, tau 0': (CPMIX, tau(0.0)),
    'CE + CP-Mix, tau 0.5': (CPMIX, tau(0.5)),
    'CE + CP-Mix, tau 1': (CPMIX, {}),
    'CE + CP-Mix, tau 1, raw counts': (CPMIX, RAW),
    'CE + CP-Mix, tau 1, anchor': (CPMIX, ANCHOR),
    'CE + CP-Mix, tau 1 + CAR': (CAR, {}),
    'LA (training prior) + CP-Mix, tau 0': (CPMIX, {**LA_TRAIN, **tau(0.0)}),
    'LA (training prior) + CP-Mix, tau 1': (CPMIX, LA_TRAIN),
    'LA (training prior) + balanced-partner mixup': (CPMIX, {**LA_TRAIN, **tau(0.0), **BALANCED}),
    'LA (effective prior) + balanced-partner mixup': (
        CPMIX,
        {**LA_EFFECTIVE, **tau(0.0), **BALANCED},
    ),
    'LA (effective prior) + CP-Mix, tau 0': (CPMIX, {**LA_EFFECTIVE, **tau(0.0)}),
    'LA (effective prior) + CP-Mix, tau 0.5': (CPMIX, {**LA_EFFECTIVE, **tau(0.5)}),
    'LA (effective prior) + CP-Mix, tau 1': (CPMIX, LA_EFFECTIVE),
}
