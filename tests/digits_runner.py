"""A runner on the long-tailed digits, for tests of hooks, losses and resuming."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

import mmlt  # noqa: F401

CONFIGS = Path(__file__).parents[1] / 'configs'


def digits_config(work_dir, leaf='resnet8_ce', max_epochs=1, **options):
    """The config of a digits leaf, shortened to ``max_epochs`` and with ``options`` merged in."""
    cfg = Config.fromfile(CONFIGS / 'digits_lt' / f'{leaf}.py')
    cfg.merge_from_dict(
        {
            'work_dir': str(work_dir),
            'train_cfg.max_epochs': max_epochs,
            'train_cfg.val_interval': max_epochs,
            'param_scheduler.T_max': max_epochs,
            'train_dataloader.collate_fn': dict(type='default_collate'),
            'val_dataloader.collate_fn': dict(type='default_collate'),
            'test_dataloader.collate_fn': dict(type='default_collate'),
            'log_level': 'WARNING',
            **options,
        }
    )
    return cfg


def digits_runner(work_dir, leaf='resnet8_ce', max_epochs=1, **options):
    """The runner of :func:`digits_config`, with a name of its own."""
    cfg = digits_config(work_dir, leaf, max_epochs, **options)
    cfg = deepcopy(cfg)
    cfg.experiment_name = f'digits_{Path(work_dir).parent.name}_{Path(work_dir).name}_{max_epochs}'
    return Runner.from_cfg(cfg)
