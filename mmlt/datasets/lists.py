"""Data sets that are given by a list file with one ``path label`` line per image.

The published long-tailed benchmarks are such lists. A mistake in one is found when it is read, not
hours later in training, and is reported with its line.
"""

from __future__ import annotations

import os.path as osp
from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
from mmengine.fileio import LocalBackend, get, get_file_backend
from mmpretrain.registry import DATASETS

from mmlt.functional.checks import check_choice, check_flag, check_integer, refuse

from .labels import Labels, check_class_names
from .long_tail import LongTailMixin

__all__ = ['BenchmarkList', 'LongTailListDataset', 'parse_image_list']

_MOST_CLASSES = 1_000_000  # a larger label in a list without num_classes is a slip, not a class


def _read(ann_file: str) -> str:
    """Text of a list, from a path or URL that MMEngine can read."""
    try:
        return get(ann_file).decode('utf-8-sig')
    except FileNotFoundError as error:
        raise FileNotFoundError(f'ann_file: expected a list file, got no {ann_file}') from error
    except OSError as error:
        raise ValueError(f'ann_file: expected a list file, got {ann_file}: {error}') from error
    except UnicodeDecodeError as error:
        raise ValueError(f'ann_file: expected text (utf-8), got {ann_file}: {error}') from error


def parse_image_list(
    text: str, name: str, num_classes: int | None = None
) -> tuple[list[str], Labels]:
    """Paths, which may contain blanks, and ``(N,)`` labels below ``num_classes``, one per line.

    Raises ``ValueError`` with the ``name`` of the file and the line.
    """
    if not text.strip():
        raise ValueError(f"{name}: expected 'path label' lines, got an empty file")
    limit = _MOST_CLASSES if num_classes is None else num_classes
    paths, labels = [], []
    for number, line in enumerate(text.rstrip().split('\n'), start=1):
        fields = line.rsplit(None, 1)
        if len(fields) != 2 or not fields[1].isdecimal() or int(fields[1]) >= limit:
            raise ValueError(
                f"{name}, line {number}: expected 'path label' with a label in [0, {limit}), "
                f'got {line.strip()[:120]!r}'
            )
        paths.append(fields[0])
        labels.append(int(fields[1]))
    return paths, np.array(labels, dtype=np.int64)


def _folder_names(paths: Sequence[str], labels: Labels, num_classes: int) -> tuple[str, ...]:
    """Folder of each class if every class has one of its own, else the numbers of the classes."""
    folders: dict[int, str] = {}
    numbers = tuple(str(k) for k in range(num_classes))
    for path, label in zip(paths, labels.tolist(), strict=True):
        folder = path.rpartition('/')[0].rpartition('/')[2]
        if not folder or folders.setdefault(label, folder) != folder:
            return numbers
    names = tuple(folders.get(k, numbers[k]) for k in range(num_classes))
    return names if len(set(names)) == num_classes else numbers


def _check_images_exist(ann_file: str, paths: Sequence[str], root: str, how_many: int) -> None:
    """Look for ``how_many`` images, evenly spread over the list, in the folder ``root``."""
    if root and not osp.isdir(root):
        raise FileNotFoundError(
            'data_prefix: expected that data_root joined with data_prefix is the folder of the '
            f'images of {ann_file}, got {root}, which is no folder'
        )
    probes = np.unique(np.linspace(0, len(paths) - 1, min(how_many, len(paths))).astype(int))
    missing = [int(i) for i in probes if not osp.isfile(paths[i])]
    if missing:
        raise FileNotFoundError(
            f'{ann_file}, line {missing[0] + 1}: there is no image {paths[missing[0]]} '
            f'({len(missing)} of {len(probes)} images looked for are missing); data_prefix: '
            'expected that data_root joined with it is the folder that the list refers to'
        )


@DATASETS.register_module()
class LongTailListDataset(LongTailMixin):
    """Any list of images with one integer label each.

    Args:
        data_root: folder that ``ann_file`` and ``data_prefix`` are relative to.
        ann_file: the list, one ``path label`` line per image, labels from 0.
        data_prefix: folder that the paths of the list are relative to.
        num_classes: ``K``; ``None``: as many as ``classes``, or the largest label of the list + 1.
            Needed where a list lacks the last classes.
        check_images: how many images to look for when the list is read; 0: none.
        **kwargs: options of :class:`LongTailMixin` (``imbalance_ratio``, ``on_error``, ...) and
            ``mmpretrain.datasets.BaseDataset`` (``classes``, ``pipeline``, ``indices``, ...).
            Without ``classes``, classes are named after the folders of their images, where each
            class has one of its own, or else by their numbers.

    Raises:
        FileNotFoundError: if the list, the image root, or one of a few images does not exist.
        ValueError: if an option or a line of the list is wrong, or the folder of a class has the
            name of another class.

    Example:
        >>> train = dict(
        ...     type='LongTailListDataset', data_root='data/birds', ann_file='train.txt',
        ...     data_prefix='images', num_classes=200)
    """

    def __init__(
        self,
        data_root: str = '',
        ann_file: str = '',
        data_prefix: str | dict = '',
        num_classes: int | None = None,
        check_images: int = 8,
        lazy_init: bool = False,
        **kwargs: Any,
    ) -> None:
        for name, value, kinds in (
            ('data_root', data_root, (str, PathLike)),
            ('ann_file', ann_file, (str, PathLike)),
            ('data_prefix', data_prefix, (str, PathLike, dict)),
        ):
            if not isinstance(value, kinds):
                raise refuse(name, 'a path', value)
        if not ann_file:
            raise refuse('ann_file', 'the path of a list file', ann_file)
        if num_classes is not None:
            check_integer('num_classes', num_classes, f'[1, {_MOST_CLASSES}]')
        check_flag('lazy_init', lazy_init)
        self.num_classes = num_classes
        self.check_images = check_integer('check_images', check_images, '[0, inf)')
        super().__init__(
            data_root=data_root,
            ann_file=ann_file,
            data_prefix=data_prefix,
            lazy_init=True,
            **kwargs,
        )
        if self.CLASSES is not None:
            if num_classes is not None and num_classes != len(self.CLASSES):
                raise refuse('num_classes', f'{len(self.CLASSES)}, as classes has', num_classes)
            self.num_classes = len(self.CLASSES)
        if not lazy_init:
            self.full_init()

    def load_data_list(self) -> list[dict]:
        """Read the list, look for a few of its images, and name the classes."""
        root = self.img_prefix
        paths, labels = parse_image_list(_read(self.ann_file), self.ann_file, self.num_classes)
        if self.num_classes is None:
            self.num_classes = int(labels.max()) + 1
        names = _folder_names(paths, labels, self.num_classes)
        if self.CLASSES is None:
            self._metainfo = {**self._metainfo, 'classes': names}
        check_class_names(self.CLASSES, names, self.ann_file, 'its classes')
        # One concatenation per line: the backend's join_path costs more than all the rest.
        folder = root if not root or root.endswith('/') else f'{root}/'
        full = [path if path.startswith('/') else folder + path for path in paths]
        backend = get_file_backend(root or '.', enable_singleton=True)
        if self.check_images and isinstance(backend, LocalBackend):
            _check_images_exist(self.ann_file, full, root, self.check_images)
        return [
            {'img_path': path, 'gt_label': label, 'line': line}
            for line, (path, label) in enumerate(zip(full, labels.tolist(), strict=True), start=1)
        ]


class BenchmarkList(LongTailListDataset):
    """A published benchmark, which knows the names of its lists and the number of its classes.

    The lists are those that classifier-balancing distributes.

    Args:
        data_root: folder of the images and the lists.
        split: a key of ``LISTS``: ``'train'``, ``'val'`` or, where there is one, ``'test'``.
        ann_file: another place of the list, relative to ``data_root`` or absolute.
        data_prefix: folder that the paths of the list start from, relative to ``data_root`` or
            absolute.
        **kwargs: other options of :class:`LongTailListDataset`.

    Raises:
        FileNotFoundError: if the list, the image root, or one of a few images does not exist.
        ValueError: if an option or a line of the list is wrong.
    """

    LISTS: dict[str, str] = {}
    NUM_CLASSES: int | None = None

    def __init__(
        self,
        data_root: str = '',
        split: str = 'train',
        ann_file: str = '',
        data_prefix: str | dict = '',
        **kwargs: Any,
    ) -> None:
        self.split = check_choice('split', split, tuple(self.LISTS))
        kwargs.setdefault('num_classes', self.NUM_CLASSES)
        super().__init__(
            data_root=data_root,
            ann_file=self.LISTS[split] if ann_file == '' else ann_file,
            data_prefix=data_prefix,
            **kwargs,
        )
