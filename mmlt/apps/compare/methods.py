"""What is compared: the configs of a project, a list of recipes, or the variants of a study."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..check.sources import read_splits
from ..config import apply_options, read_config
from ..features.frozen import frozen_config
from ..places import images_of

__all__ = ['Method', 'check_same_test', 'choose', 'find_methods', 'home_of']

BASELINE = 'ce'


@dataclass(frozen=True)
class Method:
    """One row of the table.

    Args:
        label: as people read it.
        name: of its folder.
        config: path of its recipe.
        options: settings of the recipe that are replaced, as of ``--cfg-options``.
        features: file on which its head is trained in place of its images; None: whole training.
    """

    label: str
    name: str
    config: Path
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    features: Path | None = None

    def load(self) -> Config:
        """Its config with its options, a new one at each call."""
        return deepcopy(self._config)

    @cached_property
    def _config(self) -> Config:
        """Read once for all runs of a method: a base of MMPretrain takes a second."""
        cfg = read_config(str(self.config), None)
        apply_options(cfg, self.options, f'{self.label!r} of the study')
        return cfg if self.features is None else frozen_config(cfg, self.features)


def find_methods(sources: Sequence[Path]) -> list[Method]:
    """The methods, the baseline first.

    Args:
        sources: one folder with ``configs/*.py``, one study, or several recipes.

    Raises:
        ValueError: if they are something else, or two methods have one name.
    """
    first = sources[0]
    if len(sources) == 1 and first.is_dir():
        paths = sorted((first / 'configs').glob('*.py'), key=lambda path: path.name)
        if not paths:
            raise ValueError(f'PROJECT: expected configs/*.py in the folder, got none in {first}')
        methods = [Method(path.stem, path.stem, path.resolve()) for path in paths]
        return sorted(methods, key=lambda method: method.name != BASELINE)
    for path in sources:
        if path.suffix != '.py' or not path.is_file():
            got = 'a folder' if path.is_dir() else 'no such file or folder'
            raise ValueError(f'PROJECT: expected a folder, or recipes (.py), got {got}: {path}')
    if len(sources) == 1:
        cfg = read_config(str(first), None)
        if 'study' in cfg:
            return _from_study(cfg.study, cfg.get('for_all', {}), first)
    return _checked([Method(path.stem, path.stem, path.resolve()) for path in sources])


def _from_study(study: Any, for_all: Any, path: Path) -> list[Method]:
    """The variants of a study: label -> recipe, or recipe and options.

    Recipes are paths from the folder of the study; options are settings that are replaced, those of
    ``for_all`` in every variant.
    """
    if not (isinstance(study, dict) and study and isinstance(for_all, dict)):
        raise ValueError(f'{path}: expected study = {{label: (recipe, options)}}, got {study!r}')
    methods = []
    for label, variant in study.items():
        pair = (variant, {}) if isinstance(variant, str) else variant
        is_pair = isinstance(pair, (tuple, list)) and len(pair) == 2
        recipe = (path.parent / str(pair[0])).resolve() if is_pair else None
        if recipe is None or not recipe.is_file() or not isinstance(pair[1], dict):
            raise ValueError(
                f'{path}: {label!r}: expected (recipe from this folder, options), got {variant!r}'
            )
        options = {**for_all, **pair[1]}
        methods.append(Method(str(label), _folder_name(str(label)), recipe, options))
    return _checked(methods)


def _folder_name(label: str) -> str:
    return re.sub(r'[^A-Za-z0-9_.-]+', '_', label).strip('_.') or 'method'


def _checked(methods: list[Method]) -> list[Method]:
    """Refuse two that would share a folder."""
    names = [method.name.lower() for method in methods]
    twice = next((method for method in methods if names.count(method.name.lower()) > 1), None)
    if twice is not None:
        raise ValueError(f'PROJECT: expected methods of different names, got two {twice.name!r}')
    return methods


def choose(methods: Sequence[Method], wanted: str | None) -> list[Method]:
    """Those of ``--methods``, in its order: the first is the baseline.

    Raises:
        ValueError: for a name that there is not, or that stands twice.
    """
    if wanted is None:
        return list(methods)
    known = {text: method for method in methods for text in (method.name, method.label)}
    chosen: list[Method] = []
    for text in (part.strip() for part in wanted.split(',')):
        if text not in known or known[text] in chosen:
            there = ', '.join(method.name for method in methods)
            raise ValueError(f'--methods: expected different ones of {there}, got {text!r}')
        chosen.append(known[text])
    return chosen


def check_same_test(methods: Sequence[Method]) -> None:
    """Raise ``ValueError`` if methods are judged on other images or classes than the first one.

    Their differences, paired by seed, would be of the data. Lists are read only where the configs
    name different ones; pipelines may differ.
    """
    first = methods[0]
    named, told = _test_data(first), None
    for method in methods[1:]:
        if _test_data(method) == named:
            continue
        told = told or _test_images(first)
        images, classes = _test_images(method)
        if classes != told[1]:
            what, got = f'the {len(told[1])} classes', f'{len(classes)} others'
        elif images != told[0]:
            what = f'the {sum(told[0].values())} images'
            got = f'{sum(images.values())}, of which {(images - told[0]).total()} are others'
        else:
            continue
        raise ValueError(
            f'test_dataloader.dataset of {method.label}: expected {what} of {first.label}, '
            f'got {got}'
        )


def _test_data(method: Method) -> Any:
    """The config of the test data, without what prepares images."""
    loader = method.load().get('test_dataloader') or {}
    return images_of(loader.get('dataset'))


def _test_images(method: Method) -> tuple[Counter[Any], tuple[str, ...]]:
    """Images with their labels, and the names of the classes."""
    cfg = method.load()
    scope = cfg.get('default_scope') or 'mmpretrain'
    [split] = read_splits(Config(dict(test_dataloader=cfg.test_dataloader, default_scope=scope)))
    if split.fault is not None:
        raise ValueError(f'test_dataloader.dataset of {method.label}: {split.fault}')
    files = [(os.path.realpath(one.path), one.label) for one in split.images]
    return Counter([*files, *[split.data_set] * split.in_memory]), split.classes


def home_of(sources: Sequence[Path], frozen: bool = False) -> Path:
    """Where the runs go by default: ``runs`` of a project, else below ``work_dirs``.

    Those of heads on features have a folder of their own, ``runs_frozen``.
    """
    first, end = sources[0], '_frozen' if frozen else ''
    if first.is_dir():
        return first / f'runs{end}'
    return Path('work_dirs') / f'{first.stem if len(sources) == 1 else "compare"}{end}'
