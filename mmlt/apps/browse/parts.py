"""The parts of a recipe that feed its model, built as a run builds them."""

from __future__ import annotations

from copy import deepcopy
from types import SimpleNamespace
from typing import Any

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import Runner
from mmpretrain.engine.hooks import SwitchRecipeHook
from mmpretrain.registry import HOOKS, MODELS
from torch.utils.data import IterableDataset

__all__ = ['build_loader', 'build_preprocessor', 'switch_recipe']


def build_loader(cfg: Config, seed: int) -> Any:
    """The training loader, without workers; ``ValueError`` if there is none, or it is a stream."""
    loader = deepcopy(cfg.get('train_dataloader'))
    if not loader or not loader.get('dataset'):
        raise ValueError('train_dataloader.dataset: expected the training data, got none')
    loader.setdefault('collate_fn', dict(type='default_collate'))
    loader.num_workers, loader.persistent_workers, loader.pin_memory = 0, False, False
    loader.pop('prefetch_factor', None)
    built = Runner.build_dataloader(loader, seed=seed)
    if built.batch_sampler is None or isinstance(built.dataset, IterableDataset):
        raise ValueError('train_dataloader.dataset: expected images with indices, got a stream')
    return built


def build_preprocessor(cfg: Config) -> Any:
    """As the runner and ``ImageClassifier`` build it."""
    model = deepcopy(cfg.get('model') or {})
    config = model.get('data_preprocessor') or deepcopy(cfg.get('data_preprocessor')) or {}
    if not isinstance(config, dict):
        raise ValueError(f'data_preprocessor: expected a dict, got {type(config).__name__}')
    config.setdefault('type', 'ClsDataPreprocessor')
    config.setdefault('batch_augments', model.get('train_cfg'))
    return MODELS.build(config)


def switch_recipe(cfg: Config, epoch: int, loader: Any, preprocessor: Any) -> None:
    """Put in place what a ``SwitchRecipeHook`` of the config has exchanged by an epoch.

    Args:
        cfg: not changed.
        epoch: from 0; the hook counts from 1.
        loader: its pipelines may be replaced.
        preprocessor: its batch augments may be replaced.
    """
    runner: Any = SimpleNamespace(
        model=SimpleNamespace(data_preprocessor=preprocessor),
        train_loop=SimpleNamespace(dataloader=loader),
        logger=MMLogger.get_current_instance(),
    )
    for config in cfg.get('custom_hooks') or ():
        kind = config['type']
        if (HOOKS.get(kind) if isinstance(kind, str) else kind) is not SwitchRecipeHook:
            continue
        hook = HOOKS.build(deepcopy(config))
        for action_epoch, recipe in hook.schedule.items():
            if action_epoch <= epoch + 1:
                fed = {name: part for name, part in recipe.items() if name != 'loss'}
                hook._do_switch(runner, fed)
