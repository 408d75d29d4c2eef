"""The recipes, resolved once for all tests of this folder."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from unittest import mock

from mmengine.config import Config
from mmpretrain.registry import BATCH_AUGMENTS, DATA_SAMPLERS, MODELS

import mmlt  # noqa: F401

CONFIGS = Path(__file__).parents[2] / 'configs'
# Such as 'digits_lt/resnet8_ce'.
RECIPES = sorted(
    path.relative_to(CONFIGS).with_suffix('').as_posix()
    for path in CONFIGS.rglob('*.py')
    if '_base_' not in path.parts
)


read_once = cache(Config._file2dict)


def read(filename: str, *args, **kwargs) -> tuple:
    """A file with its bases; MMEngine would read each base again for each recipe."""
    return deepcopy(read_once(os.path.abspath(filename), *args, **kwargs))


@cache
def resolved(recipe: str) -> dict:
    """What the file of a recipe and its bases say together; not to be changed."""
    with mock.patch.object(Config, '_file2dict', read):
        return Config.fromfile(str(CONFIGS / f'{recipe}.py')).to_dict()


def settings(node, path: str = '') -> Iterator[tuple[str, object]]:
    """Every setting of a nested config with its dotted path; members of a list share theirs."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from settings(value, f'{path}.{key}' if path else key)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from settings(value, f'{path}[]')
    else:
        yield path, node


def differences(one, other, path: str = '') -> set[str]:
    """Dotted paths at which two nested configs differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {
            found
            for key in {*one, *other}
            for found in differences(one.get(key), other.get(key), f'{path}.{key}' if path else key)
        }
    return set() if one == other else {path}


def unknown_options(cfg: Config) -> list[dict]:
    """Parts that do not take all of their options, as after one has been renamed."""
    parts = [(DATA_SAMPLERS, cfg.train_dataloader.sampler), (MODELS, cfg.model.head.loss)]
    parts.append((MODELS, cfg.data_preprocessor))
    augments = (cfg.model.get('train_cfg') or {}).get('augments') or []
    parts += [(BATCH_AUGMENTS, one) for one in [augments] if isinstance(one, dict)]
    found = []
    for registry, part in parts:
        kind = registry.get(part.get('type', 'ClsDataPreprocessor'))
        known = inspect.signature(kind).parameters
        open_to_all = any(one.kind is one.VAR_KEYWORD for one in known.values())
        if not open_to_all and not set(part) - {'type'} <= set(known):
            found.append(part)
    return found
