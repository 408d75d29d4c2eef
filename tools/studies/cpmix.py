# CP-Mix on the digits, beside other ways of mixing; LA = logit adjustment, tau 1. Half of the
# batches are mixed where nothing else is said; UniMix mixes every one. The recipe replaces half of
# the entries by confusion pairs, as the paper draws them; "anchor" is this project's variant, which
# keeps the anchors and draws their partners only.
# mmlt compare tools/studies/cpmix.py --seeds 4 --jobs 2
DIGITS = '../../configs/digits_lt/'
# Writing checkpoints takes longer than training does.
for_all = {'default_hooks.checkpoint.interval': 40, 'default_hooks.checkpoint.save_best': None}
CPMIX, CAR = DIGITS + 'resnet8_cpmix.py', DIGITS + 'resnet8_cpmix_car.py'
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
    'CE': (DIGITS + 'resnet8_ce.py', {}),
    'LA': (DIGITS + 'resnet8_logit_adjustment.py', {}),
    'CE + mixup': (DIGITS + 'resnet8_ce.py', {**MIXUP, 'model.train_cfg.probs': 0.5}),
    'CE + mixup, every batch': (DIGITS + 'resnet8_ce.py', MIXUP),
    'CE + Remix': (DIGITS + 'resnet8_remix.py', {AUGMENT + 'prob': 0.5}),
    'CE + Remix, every batch': (DIGITS + 'resnet8_remix.py', {}),
    'CE + CMO': (DIGITS + 'resnet8_cmo.py', {}),
    'LA + UniMix': (DIGITS + 'resnet8_unimix.py', {}),
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
