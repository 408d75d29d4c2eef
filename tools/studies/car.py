# CAR on the digits: what its options do, one at a time, to cross-entropy and logit adjustment.
# beta is 0.5, so alpha / (1 - beta) is a loss_weight of 2 alpha.
# mmlt compare tools/studies/car.py --seeds 8 --jobs 2
DIGITS = '../../configs/digits_lt/'
# Writing checkpoints takes longer than training does.
for_all = {'default_hooks.checkpoint.interval': 40, 'default_hooks.checkpoint.save_best': None}
LOSS = 'model.head.loss.'
CE, LA = DIGITS + 'resnet8_car.py', DIGITS + 'resnet8_logit_adjustment_car.py'


def options(**values):
    return {LOSS + name: value for name, value in values.items()}


study = {
    'CE': (DIGITS + 'resnet8_ce.py', {}),
    'LA': (DIGITS + 'resnet8_logit_adjustment.py', {}),
    'CE + CAR, released options': (CE, options(setting='released')),
    'CE + CAR, paper (decay, r0 0.2, alpha 0.5)': (CE, {}),
    'CE + CAR, hold': (CE, options(absent_classes='hold')),
    'CE + CAR, gate detached': (CE, options(detach_gate=True)),
    'CE + CAR, r0 0': (CE, options(r0=0.0)),
    'CE + CAR, r0 0.001': (CE, options(r0=0.001)),
    'CE + CAR, alpha 0.3': (CE, options(loss_weight=0.3)),
    'CE + CAR, alpha 1': (CE, options(loss_weight=1.0)),
    'CE + CAR, alpha 2': (CE, options(loss_weight=2.0)),
    'CE + CAR, alpha 0.5 / (1 - beta)': (CE, options(loss_weight=1.0)),
    'CE + CAR, alpha 1 / (1 - beta)': (CE, options(loss_weight=2.0)),
    'CE + CAR, r0 0.001, alpha 0.3 / (1 - beta)': (CE, options(r0=0.001, loss_weight=0.6)),
    'CE + CAR, r0 0.001, alpha 0.5 / (1 - beta)': (CE, options(r0=0.001, loss_weight=1.0)),
    'CE + CAR, r0 0.001, alpha 1 / (1 - beta)': (CE, options(r0=0.001, loss_weight=2.0)),
    'CE + CAR, r0 0.001, alpha 0.5 / (1 - beta), hold': (
        CE,
        options(r0=0.001, loss_weight=1.0, absent_classes='hold'),
    ),
    'CE + CAR, r0 0.001, alpha 0.5 / (1 - beta), gate detached': (
        CE,
        options(r0=0.001, loss_weight=1.0, detach_gate=True),
    ),
    'LA + CAR, released options': (LA, options(setting='released')),
    'LA + CAR, paper': (LA, {}),
    'LA + CAR, hold': (LA, options(absent_classes='hold')),
    'LA + CAR, gate detached': (LA, options(detach_gate=True)),
    'LA + CAR, r0 0.001': (LA, options(r0=0.001)),
    'LA + CAR, alpha 2': (LA, options(loss_weight=2.0)),
    'LA + CAR, r0 0.001, alpha 0.5 / (1 - beta)': (LA, options(r0=0.001, loss_weight=1.0)),
    'LA + CAR, r0 0.001, alpha 1 / (1 - beta)': (LA, options(r0=0.001, loss_weight=2.0)),
}
