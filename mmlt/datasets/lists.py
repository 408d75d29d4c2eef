"""Data sets that are given by a list file with one ``path label`` line per image.

The published long-tailed benchmarks are such lists. A mistake in one is found when it is read, not
hours later in training, and is reported with its line.
"""

from __future__ import annotations

import logging
import os.path as osp
import re
from collections.abc import Sequence
from os import PathLike, fspath
from typing import Any

import numpy as np
from mmengine.fileio import LocalBackend, get, get_file_backend
from mmengine.logging import print_log
from mmpretrain.registry import DATASETS

from mmlt.functional.checks import check_choice, check_flag, check_integer, refuse

from .labels import Labels, check_class_names
from .long_tail import LongTailMixin

__all__ = ['BenchmarkList', 'LongTailListDataset', 'folder_names', 'parse_image_list']

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

    Raises ``ValueError`` with the ``name`` of the file and all faulty lines.
    """
    if not text.strip():
        raise ValueError(f"{name}: expected 'path label' lines, got an empty file")
    if '\0' in text:
        raise ValueError(f"{name}: expected 'path label' lines in utf-8, got utf-16 or no text")
    if '\r' in text and '\r' in text.replace('\r\n', '\n').rstrip():
        raise ValueError(
            f'{name}: expected lines that end in a line feed (Unix or Windows), got a bare '
            'carriage return (old Macintosh); save the file with Unix line ends'
        )
    limit = _MOST_CLASSES if num_classes is None else num_classes
    lines = text.rstrip().split('\n')
    paths, labels, faulty = [], [], []
    for number, line in enumerate(lines, start=1):
        fields = line.rsplit(None, 1)
        if len(fields) == 2 and _is_label(fields[1], limit) and '://' not in fields[0]:
            paths.append(fields[0])
            labels.append(int(fields[1]))
        else:
            faulty.append(number)
    if faulty:
        first = lines[faulty[0] - 1].strip()
        shown = ', '.join(map(str, faulty[1:11])) + (', ...' if len(faulty) > 11 else '')
        hint = _what_it_is(text, first, limit)
        others = f'; also faulty: line {shown} ({len(faulty)} of {len(lines)})' if shown else ''
        raise ValueError(
            f"{name}, line {faulty[0]}: expected 'path label' with a label in [0, {limit}), "
            f'got {first[:120]!r}{hint}{"" if "JSON" in hint else others}'
        )
    return paths, np.array(labels, dtype=np.int64)


def _is_label(field: str, limit: int) -> bool:
    return field.isdecimal() and len(field) < 19 and int(field) < limit


def _what_it_is(text: str, line: str, limit: int) -> str:
    """What a user probably has in place of a line of a list, as the end of a sentence."""
    if text.lstrip()[0] in '[{':
        return (
            "; the file looks like JSON: MMPretrain's own annotations are read by "
            "dict(type='LongTailDataset', dataset=dict(type='BaseDataset', ann_file=...)), others "
            'have to be written as lines'
        )
    if '://' in line:
        return '; a URL: its beginning belongs in data_prefix, the rest of it in the list'
    if re.search(r'[,;]\s*\d+$', line):
        return '; path and label are separated by a blank, not by a comma'
    if re.match(r'\d+[\s,;]+\S', line):
        return '; the path comes before the label'
    if re.search(rf'\s{limit}$', line):
        return '; labels count from 0'
    return ''


def folder_names(paths: Sequence[str], labels: Labels, num_classes: int) -> tuple[str, ...]:
    """Folder of each class if every class has one of its own, else the numbers of the classes."""
    folders: dict[int, str] = {}
    numbers = tuple(str(k) for k in range(num_classes))
    for path, label in zip(paths, labels.tolist(), strict=True):
        folder = path.rpartition('/')[0].rpartition('/')[2]
        if not folder or folders.setdefault(label, folder) != folder:
            return numbers
    names = tuple(folders.get(k, numbers[k]) for k in range(num_classes))
    return names if len(set(names)) == num_classes else numbers


def _check_images_exist(
    ann_file: str, rows: Sequence[str], paths: Sequence[str], root: str, how_many: int
) -> None:
    """Look for ``how_many`` images, evenly spread over the list, in the folder ``root``."""
    if root and not osp.isdir(root):
        raise FileNotFoundError(
            'data_prefix: expected that data_root joined with data_prefix is the folder of the '
            f'images of {ann_file}, got {root}, which is no folder'
        )
    probes = np.unique(np.linspace(0, len(paths) - 1, min(how_many, len(paths))).astype(int))
    missing = [int(i) for i in probes if not osp.isfile(paths[i])]
    if missing:
        row = rows[missing[0]]
        reason = 'data_root joined with data_prefix has to be the folder that the list refers to'
        if row.startswith('/') and root:
            there = osp.isfile(osp.join(root, row.lstrip('/')))
            reason = (
                'data_prefix is not used, because the row begins with a slash, which makes it an '
                'absolute path; '
                f'without the slash there is {"such an" if there else "no such"} image in {root}'
            )
        raise FileNotFoundError(
            f'{ann_file}, line {missing[0] + 1}: expected the image {paths[missing[0]]}, got no '
            f'such file ({len(missing)} of {len(probes)} images looked for are missing): {reason}'
        )


def _rows_outside(rows: Sequence[str], paths: Sequence[str], roots: Sequence[str]) -> list[int]:
    """Positions of the rows that lead out of all ``roots``, by ``..`` or as an absolute path.

    Links in the image tree are followed only for such rows: what a link of the owner leads to is
    the owner's business.
    """
    allowed = [_resolve(root).rstrip('/') + '/' for root in roots]
    folders: dict[str, str] = {}
    outside = []
    for i, row in enumerate(rows):
        if row[0] == '/' or '..' in row:
            folder, _, file = paths[i].rpartition('/')
            if folder not in folders:
                folders[folder] = _resolve(folder or '/')
            place = osp.normpath(f'{folders[folder]}/{file}')
            if not any(f'{place}/'.startswith(root) for root in allowed):
                outside.append(i)
    return outside


def _resolve(folder: str) -> str:
    """The real folder; of a URL, which has no links, its normal form."""
    return osp.normpath(folder) if '://' in folder else osp.realpath(folder)


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
        inside_root: refuse a list with a path that leads out of ``data_root`` and of the folder
            of the images, as an absolute path or by ``..``. Otherwise that is logged, once. Set it
            for lists that other people have written.
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
        inside_root: bool = False,
        lazy_init: bool = False,
        **kwargs: Any,
    ) -> None:
        prefix: Any = data_prefix
        if isinstance(prefix, dict):
            if set(prefix) != {'img_path'}:
                raise refuse('data_prefix', "a path or dict(img_path='...')", data_prefix)
            prefix = prefix['img_path']
        for name, value in (
            ('data_root', data_root),
            ('ann_file', ann_file),
            ('data_prefix', prefix),
        ):
            if not isinstance(value, (str, PathLike)):
                raise refuse(name, 'a path', value)
        if not ann_file:
            raise refuse('ann_file', 'the path of a list file', ann_file)
        if num_classes is not None:
            check_integer('num_classes', num_classes, f'[1, {_MOST_CLASSES}]')
        check_flag('lazy_init', lazy_init)
        if check_flag('inside_root', inside_root) and not (data_root or prefix):
            raise refuse('inside_root', 'a data_root or data_prefix beside it', inside_root)
        self.inside_root = inside_root
        self.num_classes = num_classes
        self.check_images = check_integer('check_images', check_images, '[0, inf)')
        super().__init__(
            data_root=fspath(data_root),
            ann_file=fspath(ann_file),
            data_prefix=fspath(prefix),
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
        names = folder_names(paths, labels, self.num_classes)
        if self.CLASSES is None:
            self._metainfo = {**self._metainfo, 'classes': names}
        check_class_names(self.CLASSES, names, self.ann_file, 'its classes')
        # One concatenation per line: the backend's join_path costs more than all the rest.
        folder = root if not root or root.endswith('/') else f'{root}/'
        full = [path if path.startswith('/') else folder + path for path in paths]
        outside = self._rows_outside(paths, full)
        backend = get_file_backend(root or '.', enable_singleton=True)
        if self.check_images and isinstance(backend, LocalBackend):
            _check_images_exist(self.ann_file, paths, full, root, self.check_images)
        if outside:
            print_log(
                f'{self.ann_file}: {len(outside)} of {len(paths)} lines lead out of {root}, the '
                f'first is line {outside[0] + 1}: {paths[outside[0]]!r}; inside_root=True refuses '
                'such a list',
                logger='current',
                level=logging.WARNING,
            )
        return [
            {'img_path': path, 'gt_label': label, 'line': line}
            for line, (path, label) in enumerate(zip(full, labels.tolist(), strict=True), start=1)
        ]

    def _rows_outside(self, rows: Sequence[str], paths: Sequence[str]) -> list[int]:
        """Positions of rows that lead out of the root; without a root there is no outside.

        Raises ``ValueError`` if there are some and ``inside_root`` is set.
        """
        roots = [root for root in dict.fromkeys((self.img_prefix, self.data_root)) if root]
        outside = _rows_outside(rows, paths, roots) if roots else []
        if outside and self.inside_root:
            raise ValueError(
                f'{self.ann_file}, line {outside[0] + 1}: inside_root: expected a path inside '
                f'{" or ".join(roots)}, got {rows[outside[0]]!r} ({len(outside)} of {len(rows)} '
                'lines lead out)'
            )
        return outside


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
