"""The config of a command, read once and the same way by all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmlt.functional.checks import one_line

__all__ = ['read_config', 'without_layout']


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
            cfg.merge_from_dict(options)
    except Exception as error:  # a config is a program
        raise ValueError(
            f'config: expected a config that can be read, got {path}: '
            f'{type(error).__name__}: {one_line(error, 500)}'
        ) from error
    return cfg


def without_layout(cfg: Config) -> Config:
    """The same config, whose text yapf does not lay out.

    MMEngine has that done for the log and in each checkpoint, and it takes a second each time.
    """
    # Not an argument: MMEngine passes that on for its other kind of configs only.
    object.__setattr__(cfg, '_format_python_code', False)
    return cfg
