"""The config of a command, read once and the same way by all of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import FlexibleRunner, Runner

from mmlt.functional.checks import OptionError, one_line

__all__ = ['apply_options', 'read_config', 'without_layout']

# What is read at the top of a config, beside the arguments of the runners.
_READ = (
    'activation_checkpointing',
    'compile',
    'custom_imports',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'runner_type',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
)


def read_config(path: str | Path, options: dict[str, Any] | None = None) -> Config:
    """The config as ``tools/train.py`` reads it.

    Args:
        path: of the file.
        options: of ``--cfg-options``.

    Raises:
        ValueError: with one line, if it cannot be read.
    """
    if not Path(path).is_file():
        got = 'a folder:' if Path(path).is_dir() else 'no such file:'
        raise ValueError(f'config: expected a config file, got {got} {path}')
    try:
        cfg = without_layout(Config.fromfile(path))
        if options:
            apply_options(cfg, options)
    except OptionError:
        raise
    except Exception as error:  # a config is a program
        raise ValueError(
            f'config: expected a config that can be read, got {path}: '
            f'{type(error).__name__}: {one_line(error, 500)}'
        ) from error
    return cfg


def apply_options(cfg: Config, options: Mapping[str, Any], name: str = '--cfg-options') -> None:
    """Replace settings of a config, which nothing else than a run reads.

    A variable of a config file, such as its ``epochs``, has been used when the file was read; to
    replace it changes nothing, and a misspelt name neither.

    Args:
        cfg: changed in place.
        options: setting, such as ``'model.head.num_classes'``, to value.
        name: what the error calls them.

    Raises:
        OptionError: for one that no run reads, or that MMEngine cannot replace.
    """
    known = {*_READ, *(n for kind in (Runner, FlexibleRunner) for n in _arguments(kind))}
    for option in options:
        first = option.partition('.')[0]
        if first in known:
            continue
        if first in cfg:
            places = ' or '.join(list(dict.fromkeys(_places(cfg, first, known)))[:3])
            raise OptionError(
                f'{name}: expected settings that a run reads, got {option}, a variable that the '
                f'config has used already: edit the file{places and f", or give {places}"}'
            )
        near = get_close_matches(first, known, 1)
        hint = f' ({near[0]}?)' if near else ''
        raise OptionError(f'{name}: expected settings that a run reads, got {option}{hint}')
    try:
        cfg.merge_from_dict(dict(options))
    except (KeyError, TypeError, IndexError, AssertionError) as error:
        raise OptionError(
            f'{name}: expected settings of the config, got {", ".join(options)}: {one_line(error)}'
        ) from error


def _arguments(kind: type) -> list[str]:
    return [name for name in inspect.signature(kind).parameters if name != 'cfg']


def _places(node: Any, variable: str, known: set[str], where: str = '') -> Iterator[str]:
    """Settings of a name that ends like that of a variable: ``max_epochs`` for ``epochs``."""
    for key, value in node.items():
        if where or key in known:
            if where and (key == variable or key.endswith(f'_{variable}')):
                yield f'{where}{key}'
            elif isinstance(value, Mapping):
                yield from _places(value, variable, known, f'{where}{key}.')


def without_layout(cfg: Config) -> Config:
    """The same config, whose text yapf does not lay out.

    MMEngine has that done for the log and in each checkpoint, and it takes a second each time.
    """
    # Not an argument: MMEngine passes that on for its other kind of configs only.
    object.__setattr__(cfg, '_format_python_code', False)
    return cfg
