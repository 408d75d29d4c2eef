"""The runs that the harness kills: every kind of state that a run has, each in a few seconds."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config

from tests.digits_runner import digits_config

EPOCHS = 3

# Name -> leaf of configs/digits_lt, and options on it. What depends on the epoch begins after the
# first, so that a resume meets it in every state.
RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    'CE': ('resnet8_ce', {}),
    'CAR': ('resnet8_car', {}),
    'ConCutMix + CAR': ('resnet8_concutmix_car', {'model.head.label_start_epoch': 1}),
    'CP-Mix': ('resnet8_cpmix', {}),
    'LDAM-DRW': ('resnet8_ldam_drw', {'default_hooks.reweighting.start_epoch': 1}),
    'EMAHook': ('resnet8_ce', {'custom_hooks': [dict(type='EMAHook', momentum=0.1)]}),
    'progressive sampling': (
        'resnet8_class_balanced',
        {
            'train_dataloader.sampler': dict(
                type='ClassBalancedSampler', progressive=True, num_epochs=EPOCHS
            )
        },
    ),
}


def recipe_config(name: str, work_dir: Any, ranks: int = 1, **options: Any) -> Config:
    """The config of one rank; a fifth of the validation images, validated after every epoch."""
    leaf, own = RECIPES[name]
    cfg = digits_config(
        work_dir,
        leaf,
        EPOCHS,
        **{
            'train_cfg.val_interval': 1,
            'default_hooks.logger.interval': 2,
            'default_hooks.checkpoint.max_keep_ckpts': 1,
            'train_dataloader.batch_size': 64 // ranks,
            'val_dataloader.batch_size': 200,
            **own,
            **options,
        },
    )
    cfg.experiment_name = f'faults_{abs(hash(str(work_dir)))}'
    return cfg
