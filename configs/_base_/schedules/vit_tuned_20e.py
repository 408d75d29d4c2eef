# Adapters on iNaturalist 2018: 20 epochs, as in the released code of LIFT.
_base_ = './vit_tuned_10e.py'

param_scheduler = dict(T_max=20)
train_cfg = dict(max_epochs=20)
