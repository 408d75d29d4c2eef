"""The same recipe in another number of epochs: everything that is given in epochs, scaled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from math import isfinite
from typing import Any

from mmengine.config import Config

from mmlt.registry import type_name

__all__ = ['epochs_of', 'scale_epochs']

# Of a schedule, in epochs or in iterations: both grow with the length of the run.
_PLACES = ('begin', 'end', 'step_size', 'total_steps')
_LISTS = ('milestones', 'periods')
# Of hooks, losses, heads, augments and samplers: start_epoch, label_start_epoch, warmup_epochs, ...
_EPOCH = re.compile(r'(^|_)epochs?$')
_SECTIONS = ('model', 'train_dataloader', 'default_hooks', 'custom_hooks')


def epochs_of(cfg: Config) -> int:
    """Epochs of a recipe.

    Raises:
        ValueError: if it does not train by epochs.
    """
    train = cfg.get('train_cfg') or {}
    epochs: Any = train.get('max_epochs')
    if not _is_count(epochs) or epochs % 1 or not train.get('by_epoch', True):
        raise ValueError(
            f'train_cfg: expected max_epochs, as of a run by epochs, got {dict(train)}'
        )
    return int(epochs)


def scale_epochs(cfg: Config, epochs: int) -> Config:
    """The recipe for a run of ``epochs``.

    A place in epochs is multiplied by new over old epochs and rounded; what was after the first
    epoch stays after it, and what was reached is still reached. That holds for the end, the
    milestones, the warm-up and ``T_max`` of schedules (in iterations too, as the run has as many
    more of these), the interval of validation, and every option of hooks, model and training data
    that is called ``..._epoch`` or ``..._epochs``. A schedule that would begin after the end is
    left out. Of the changes of a ``SwitchRecipeHook`` that fall into one epoch the last counts.
    Intervals of checkpoints and logs stay.

    Args:
        cfg: not changed.
        epochs: at least 1.

    Returns:
        A new config; equal to ``cfg`` where it has as many epochs.
    """
    cfg = deepcopy(cfg)
    before = epochs_of(cfg)
    if epochs == before:
        return cfg
    factor = epochs / before

    train = cfg.train_cfg
    train.max_epochs = epochs
    for name in ('val_interval', 'val_begin'):
        if _is_count(train.get(name)):  # an infinite interval is never
            train[name] = min(_place(train[name], factor), epochs)
    if train.get('dynamic_intervals'):
        train.dynamic_intervals = [
            (_place(begin, factor), _place(interval, factor))
            for begin, interval in train.dynamic_intervals
        ]
    if cfg.get('param_scheduler') is not None:
        cfg.param_scheduler = _scaled(cfg.param_scheduler, before, epochs)
    for section in _SECTIONS:
        for node, key in _named_by_epoch(cfg.get(section)):
            value = _place(node[key], factor)
            node[key] = min(value, epochs - 1) if node[key] < before else value
    hooks = [*(cfg.get('custom_hooks') or ()), *(cfg.get('default_hooks') or {}).values()]
    for hook in hooks:
        if isinstance(hook, dict) and type_name(hook) == 'SwitchRecipeHook':
            hook['schedule'] = _scaled_switches(hook['schedule'], before, epochs)
    return cfg


def _place(value: Any, factor: float) -> Any:
    """A count of epochs in the other schedule, at least 1; anything else as it is."""
    return max(1, round(value * factor)) if _is_count(value) and value > 0 else value


def _scaled(schedules: Any, before: int, epochs: int) -> Any:
    """One schedule, a list of them, or a dict of these for several optimisers."""
    if isinstance(schedules, dict) and 'type' not in schedules:
        return {name: _scaled(part, before, epochs) for name, part in schedules.items()}
    if isinstance(schedules, dict):
        return _scaled_schedule(schedules, before, epochs)
    scaled = [_scaled_schedule(schedule, before, epochs) for schedule in schedules]
    return [schedule for schedule in scaled if _begins(schedule, epochs)]


def _scaled_schedule(schedule: Any, before: int, epochs: int) -> Any:
    factor = epochs / before

    new = deepcopy(schedule)
    for key in _PLACES:
        if key in new:
            new[key] = _place(new[key], factor)
    for key in _LISTS:
        if new.get(key) is not None:
            new[key] = [_place(value, factor) for value in new[key]]
    begin, length = schedule.get('begin', 0), schedule.get('T_max')
    if _is_count(length):
        # Its rounding follows that of the ends, so that the curve still ends where it did.
        by_epoch = schedule.get('by_epoch', True)
        end = schedule.get('end')
        if not _is_count(end):
            end = before if by_epoch and begin + length == before else begin + length
        whole = length == end - begin
        new['T_max'] = (
            max(1, _place(end, factor) - _place(begin, factor)) if whole else _place(length, factor)
        )
    if type_name(new) in ('ExponentialLR', 'ExponentialMomentum'):
        new['gamma'] = new['gamma'] ** (1 / factor)
    return new


def _scaled_switches(switches: Any, before: int, epochs: int) -> list[Any]:
    """Changes at an ``action_epoch``, which counts from 1 and may stand in the list once."""
    scaled: dict[int, Any] = {}
    for switch in sorted(switches, key=lambda one: one['action_epoch']):
        place = was = switch['action_epoch']
        if was > 1:
            place = max(2, 1 + round((was - 1) * epochs / before))
        place = min(place, epochs) if was <= before else place
        scaled.setdefault(place, deepcopy(switch)).update(switch, action_epoch=place)
    return list(scaled.values())


def _begins(schedule: Any, epochs: int) -> bool:
    begin, end = schedule.get('begin', 0), schedule.get('end')
    if _is_count(end) and end <= begin:
        return False
    return not schedule.get('by_epoch', True) or begin < epochs


def _named_by_epoch(node: Any) -> Iterator[tuple[Any, str]]:
    """Dicts below, and those of their keys that hold an epoch."""
    if isinstance(node, (list, tuple)):
        for part in node:
            yield from _named_by_epoch(part)
    elif isinstance(node, dict):
        for key, value in node.items():
            named = key == 'save_begin' or _EPOCH.search(str(key))
            if named and _is_count(value) and value > 0:
                if key != 'action_epoch':
                    yield node, key
            else:
                yield from _named_by_epoch(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)
