"""Settings of a run that MMEngine takes, and stops at later without naming them."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence

from mmengine.config import Config
from mmengine.registry import FUNCTIONS, OPTIMIZERS, DefaultScope

from mmlt.registry import dicts_in, pretrained_in, type_name

__all__ = ['wrong_settings']


def wrong_settings(cfg: Config, loaders: Sequence[str]) -> list[str]:
    """One line for each of them.

    Args:
        cfg: after the command line.
        loaders: names of the data loaders that are going to be read.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        trained = 'train_dataloader' in loaders
        lines = [*_wrong_optimizer(cfg), *_frozen_at_random(cfg)] if trained else []
        lines += _wrong_log_level(cfg)
        return [*lines, *_missing_functions(cfg, loaders), *_wrong_counts(cfg, loaders)]


def _wrong_optimizer(cfg: Config) -> Iterator[str]:
    """An optimizer that MMEngine would call without having found it, and numbers that are none."""
    optimizer = (cfg.get('optim_wrapper') or {}).get('optimizer')
    if not isinstance(optimizer, dict):
        return
    name = 'optim_wrapper.optimizer'
    kind = optimizer.get('type')
    with OPTIMIZERS.switch_scope_and_registry(None) as registry:
        known = callable(kind) or (isinstance(kind, str) and registry.get(kind) is not None)
    if not known:
        yield f'{name}.type: expected a registered optimizer, got {kind!r}'
    for key, value in optimizer.items():
        is_text = key == 'lr' and isinstance(value, str)
        if is_text or (isinstance(value, float) and not math.isfinite(value)):
            yield f'{name}.{key}: expected a finite number, got {value!r}'


def _frozen_at_random(cfg: Config) -> Iterator[str]:
    """Stages that do not learn, in a run that loads no weights: it would train on noise."""
    parts = list(dicts_in(cfg.get('model')))
    loads = any(pretrained_in(part) or part.get('pretrained') for part in parts)
    if loads or cfg.get('load_from') or cfg.get('resume'):
        return
    for part in parts:
        frozen = part.get('frozen_stages')
        if isinstance(frozen, int) and not isinstance(frozen, bool) and frozen >= 0:
            yield (
                f'frozen_stages of {type_name(part)}: expected trained weights for what does not '
                "learn, by load_from or init_cfg=dict(type='Pretrained', ...), got none with "
                f'frozen_stages={frozen}'
            )


def _wrong_log_level(cfg: Config) -> Iterator[str]:
    level = cfg.get('log_level', 'INFO')
    if isinstance(level, str) and not isinstance(logging.getLevelName(level), int):
        yield f"log_level: expected 'DEBUG', 'INFO', 'WARNING' or 'ERROR', got {level!r}"


def _wrong_counts(cfg: Config, loaders: Sequence[str]) -> Iterator[str]:
    """Numbers that would stop a run only after its first epoch, or with an error of arithmetic."""
    named = [(loader, 'batch_size', int) for loader in loaders]
    if 'train_dataloader' in loaders:
        # MMEngine takes 1e2 epochs, and an infinite interval of validation, which is never.
        keys = 'max_epochs', 'max_iters', 'val_interval'
        named += [('train_cfg', key, int | float) for key in keys]
    for part, key, kind in named:
        value = (cfg.get(part) or {}).get(key)
        if value is None:
            continue
        at_least_1 = isinstance(value, kind) and value >= 1  # NaN is not
        if not at_least_1 or (value % 1 if math.isfinite(value) else key != 'val_interval'):
            yield f'{part}.{key}: expected an integer of at least 1, got {value!r}'


def _missing_functions(cfg: Config, loaders: Sequence[str]) -> Iterator[str]:
    for loader in loaders:
        for part in ('collate_fn', 'worker_init_fn'):
            given = (cfg.get(loader) or {}).get(part)
            kind = given.get('type') if isinstance(given, dict) else None
            if isinstance(kind, str) and FUNCTIONS.get(kind) is None:
                yield f'{loader}.{part}.type: expected a registered function, got {kind!r}'
