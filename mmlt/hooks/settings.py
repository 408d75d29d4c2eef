"""What a run was asked to do, in plain types, and how that differs from another run's."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.registry import Registry
from mmpretrain import registry

__all__ = ['Change', 'changes', 'settings_of']

# Entries of a config that decide what is learned, or which model is called the best.
_SECTIONS = (
    'model',
    'train_dataloader',
    'optim_wrapper',
    'param_scheduler',
    'train_cfg',
    'auto_scale_lr',
    'randomness',
    'val_dataloader',
    'val_evaluator',
    'val_cfg',
)
# Of these nothing that is learned depends on: see EpochSeedHook for the workers. Weights come from
# the checkpoint, and of the batch size it is that of all ranks which counts.
_IGNORED_KEYS = {
    'batch_size',
    'collate_fn',
    'disable_subprocess_warning',
    'init_cfg',
    'multiprocessing_context',
    'num_workers',
    'persistent_workers',
    'pin_memory',
    'prefetch_factor',
    'timeout',
    'with_cp',
    'worker_init_fn',
}
_IGNORED_HOOKS = {
    'CheckpointHook',
    'DistSamplerSeedHook',
    'IterTimerHook',
    'LoggerHook',
    'LongTailHook',
    'ParamSchedulerHook',
    'RuntimeInfoHook',
    'VisualizationHook',
}
_STRATEGY = {
    'effective_number',
    'num_repeats',
    'pairing',
    'partners',
    'power',
    'progressive',
    'replacement',
    'shuffle',
}
_SWITCHES = ('start_epoch', 'begin_epoch', 'action_epoch')
_NOT_SET = object()


@dataclass(frozen=True)
class Change:
    """One setting of a resumed run that is not what the checkpoint was trained with.

    Args:
        text: ``name: trained with X, now Y``.
        is_error: whether the result would be that of neither setting.
    """

    text: str
    is_error: bool


def settings_of(cfg: Mapping[str, Any], total_batch: int | None) -> dict[str, Any]:
    """The settings of a run, as JSON knows them.

    Args:
        cfg: of the run.
        total_batch: images of a step on all ranks.

    Returns:
        Section to its options; hooks by their type.
    """
    settings = {name: _plain(cfg[name]) for name in _SECTIONS if cfg.get(name) is not None}
    hooks = [*(cfg.get('default_hooks') or {}).values(), *(cfg.get('custom_hooks') or ())]
    for hook in map(_plain, hooks):
        name = _type_of(hook)
        if name is not None and name not in _IGNORED_HOOKS:
            while name in settings:  # a second one of its kind
                name += "'"
            settings[name] = hook
    return {**settings, 'total_batch': total_batch}


def changes(
    before: Mapping[str, Any], now: Mapping[str, Any], epoch: int, within_epoch: bool
) -> list[Change]:
    """Compare the settings of a checkpoint with those of the run that goes on from it.

    Errors are: another architecture, head, loss or batch augment; another sampler or strategy of
    it; an optimiser or schedule that the saved state does not fit; a switch in an epoch that has
    passed; and in the middle of an epoch whatever makes its rest another one.

    Args:
        before: :func:`settings_of` the run that was saved.
        now: those of the run that goes on.
        epoch: epochs that are finished.
        within_epoch: whether the next one has begun.

    Returns:
        The changes, in the order of the names.
    """
    return [
        Change(
            f'{name}: trained with {_show(old)}, now {_show(new)}{_note(name)}',
            _is_error(name, old, new, epoch, within_epoch),
        )
        for name, old, new in _differences('', dict(before), dict(now))
        if not (name == 'randomness.seed' and new in (None, _NOT_SET))
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items() if k not in _IGNORED_KEYS}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    # A class or function of a config in Python; of objects the type alone can be compared.
    return getattr(value, '__name__', type(value).__name__)


def _type_of(value: Any) -> Any:
    return value.get('type') if isinstance(value, dict) else None


def _differences(name: str, before: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(now, dict):
        if _type_of(before) == _type_of(now) or name in ('optim_wrapper', 'train_cfg'):
            for key in sorted({**before, **now}):
                pair = [_value(part, key) for part in (before, now)]
                yield from _differences(f'{name}.{key}'.lstrip('.'), *pair)
            return
    elif _same_parts(before, now):
        for place, (old, new) in enumerate(zip(before, now, strict=True)):
            yield from _differences(f'{name}.{place}', old, new)
        return
    if before != now:
        yield name, before, now


def _same_parts(before: Any, now: Any) -> bool:
    """Two lists of dicts of the same types; one that is longer is shown as a whole."""
    both = isinstance(before, list) and isinstance(now, list)
    return both and (
        all(isinstance(item, dict) for item in (*before, *now))
        and [_type_of(item) for item in before] == [_type_of(item) for item in now]
    )


def _value(part: dict[str, Any], key: str) -> Any:
    """What is set, or the default of the part's class."""
    if key in part or not isinstance(_type_of(part), str):
        return part.get(key, _NOT_SET)
    for owner in vars(registry).values():
        found = owner.get(part['type']) if isinstance(owner, Registry) else None
        for kind in inspect.getmro(found) if inspect.isclass(found) else ():
            parameter = inspect.signature(kind).parameters.get(key)
            if parameter is not None and parameter.default is not parameter.empty:
                return _plain(parameter.default)
    return _NOT_SET


def _is_error(name: str, old: Any, new: Any, epoch: int, within_epoch: bool) -> bool:
    *_, last = name.split('.')
    another_kind = any(_has_type(value) for value in (old, new))
    if name.startswith('model.'):
        return another_kind or last == 'num_classes' or name.startswith(_ARCHITECTURE)
    if name.startswith(_ORDER):
        return within_epoch or another_kind or last in _STRATEGY
    if name in ('optim_wrapper.optimizer', 'param_scheduler', 'train_cfg.type', 'train_cfg'):
        return another_kind or name == 'train_cfg.type'
    if last.endswith(_SWITCHES):
        epochs = [value for value in (old, new) if isinstance(value, int)]
        return any(value < epoch + within_epoch for value in epochs)
    return (within_epoch and name in _LENGTH) or name == 'train_cfg.by_epoch'


_ARCHITECTURE = ('model.backbone.', 'model.neck.')
_ORDER = ('train_dataloader.sampler', 'train_dataloader.batch_sampler')
_LENGTH = {'total_batch', 'train_dataloader.drop_last', 'train_dataloader.num_batch_per_epoch'}
# MMEngine restores these from the checkpoint.
_RESTORED = ('optim_wrapper.optimizer', 'optim_wrapper.paramwise_cfg', 'param_scheduler')


def _has_type(value: Any) -> bool:
    if isinstance(value, list):
        return any(_has_type(item) for item in value)
    return _type_of(value) is not None


def _note(name: str) -> str:
    if name.startswith(_RESTORED) or name == 'randomness.seed':
        return ' (that of the checkpoint stays in use)'
    return ''


def _show(value: Any) -> str:
    if value is _NOT_SET:
        return 'nothing'
    text = _text(value)
    return text if len(text) <= 100 else f'{text[:97]}...'


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f'[{", ".join(map(_text, value))}]'
    if _type_of(value) is None:
        return repr(value)
    options = (f'{key}={_text(item)}' for key, item in value.items() if key != 'type')
    return f'{value["type"]}({", ".join(options)})'
