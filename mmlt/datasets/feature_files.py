"""Files of features: what a network makes of images, kept so that heads train on it in seconds.

One file, ``.npz`` or ``.safetensors``, holds for each split the features ``(N, D)`` in float16, the
labels and the paths of the images, the names of the classes, and which network it was.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmlt.functional.checks import one_line
from mmlt.functional.counts import count_labels
from mmlt.weight_files import SUFFIX, checkpoint_bytes, read_safetensors, write_whole

__all__ = ['FEATURE_SUFFIXES', 'FeatureFile', 'FeatureSplit', 'read_features', 'write_features']

FEATURE_SUFFIXES = ('.npz', SUFFIX)
KIND = 'mmlt features'
_ARRAYS = ('features', 'labels')


@dataclass(frozen=True, eq=False)
class FeatureSplit:
    """Features of the images of one split.

    Args:
        features: ``(N, D)`` float16.
        labels: ``(N,)`` int64.
        paths: ``N`` paths of the images, or ``''`` for images in memory.
    """

    features: NDArray[np.float16]
    labels: NDArray[np.int64]
    paths: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class FeatureFile:
    """What a file of features holds.

    Args:
        splits: ``'train'``, ``'val'``, ``'test'``, as far as there are any.
        classes: names of the ``K`` classes.
        network: ``name`` of the network and ``sha256`` of its weights; ``images``, a hash of
            images, labels and preparation; ``settings`` of all of these as JSON.
        same: splits that are the same images as another: ``dict(test='val')``.
    """

    splits: Mapping[str, FeatureSplit]
    classes: tuple[str, ...]
    network: Mapping[str, str]
    same: Mapping[str, str] = field(default_factory=dict)

    def split(self, name: str) -> FeatureSplit | None:
        """A split by its own name or by that of one with the same images."""
        return self.splits.get(self.same.get(name, name))

    @property
    def channels(self) -> int:
        """``D``, numbers for each image."""
        return int(next(iter(self.splits.values())).features.shape[1])

    @property
    def identity(self) -> str:
        """The network in a few words, which differ for other weights."""
        return f'{self.network["name"]} ({self.network["sha256"][:8]})'

    def class_counts(self, split: str = 'train') -> list[int]:
        """Images per class of a split, ``(K,)``."""
        found = self.split(split)
        labels = np.zeros(0, dtype=np.int64) if found is None else found.labels
        return count_labels(labels, len(self.classes))


def write_features(path: Path, content: FeatureFile) -> None:
    """Write a file of features, whole or not at all; the suffix names its format."""
    meta = dict(
        kind=KIND,
        classes=list(content.classes),
        class_counts=content.class_counts(),
        network=dict(content.network),
        same=dict(content.same),
    )
    parts = content.splits.items()
    if path.suffix == SUFFIX:
        arrays = {
            f'{name}.{kind}': torch.from_numpy(getattr(split, kind))
            for name, split in parts
            for kind in _ARRAYS
        }
        meta['paths'] = {name: list(split.paths) for name, split in parts}
        write_whole(path, checkpoint_bytes(dict(meta=meta, state_dict=arrays), path))
        return
    kept: dict[str, Any] = {'meta': np.array(json.dumps(meta))}
    for name, split in parts:
        kept.update({f'{name}_{kind}': getattr(split, kind) for kind in _ARRAYS})
        kept[f'{name}_paths'] = np.array(split.paths, dtype=str)
    buffer = BytesIO()
    np.savez(buffer, **kept)
    write_whole(path, buffer.getvalue())


def read_features(path: str | os.PathLike[str]) -> FeatureFile:
    """What :func:`write_features` wrote.

    It is read once for all data sets of a process, until the file changes.

    Args:
        path: of the file.

    Raises:
        ValueError: one line, if it is no such file, or not a whole one.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f'features: expected a file that mmlt features wrote, got no file {path}')
    stat = path.stat()
    return _read(path.resolve(), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _read(path: Path, time: int, size: int) -> FeatureFile:
    try:
        meta, splits = _from_safetensors(path) if path.suffix == SUFFIX else _from_npz(path)
        if meta['kind'] != KIND or not splits:
            raise ValueError('of another kind')
        for split in splits.values():
            rows = {len(split.features), len(split.labels), len(split.paths)}
            if split.features.ndim != 2 or len(rows) > 1:
                raise ValueError('rows that do not fit together')
        return FeatureFile(splits, tuple(meta['classes']), meta['network'], meta['same'])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f'{path.name}: expected a file that mmlt features wrote, got another: {one_line(error)}'
        ) from error


def _from_npz(path: Path) -> tuple[dict[str, Any], dict[str, FeatureSplit]]:
    with np.load(path, allow_pickle=False) as arrays:
        meta = json.loads(str(arrays['meta']))
        names = [key.removesuffix('_features') for key in arrays.files if key.endswith('_features')]
        return meta, {
            name: FeatureSplit(
                arrays[f'{name}_features'],
                arrays[f'{name}_labels'],
                tuple(arrays[f'{name}_paths'].tolist()),
            )
            for name in names
        }


def _from_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, FeatureSplit]]:
    content = read_safetensors(path)
    meta, arrays = content['meta'], content['state_dict']
    return meta, {
        name: FeatureSplit(
            arrays[f'{name}.features'].numpy(), arrays[f'{name}.labels'].numpy(), tuple(paths)
        )
        for name, paths in meta['paths'].items()
    }
