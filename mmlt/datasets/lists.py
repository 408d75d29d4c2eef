"""List files with one ``path label`` line an image: reading them, and saying what is wrong."""

from __future__ import annotations

import os.path as osp
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.fileio import LocalBackend, get, get_file_backend
from mmpretrain.registry import DATASETS

from .labels import Labels
from .long_tail import LongTailMixin

__all__ = [
    'LongTailListDataset',
    'check_images_exist',
    'folder_names',
    'parse_image_list',
    'read_image_list',
]

_MOST_CLASSES = 1_000_000  # a larger label in a list without num_classes is a slip, not a class


def read_image_list(ann_file: str, num_classes: int | None = None) -> tuple[list[str], Labels]:
    """Read a list file.

    Args:
        ann_file: path or URL that MMEngine can read.
        num_classes: ``K``; labels must lie in ``[0, K)``. ``None``: any from 0.

    Returns:
        Paths and ``(N,)`` int64 labels. Image ``i`` stands in line ``i + 1``.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is no text, or a line is wrong.
    """
    try:
        raw = get(ann_file)
    except FileNotFoundError as error:
        raise FileNotFoundError(f'ann_file: there is no list {ann_file}') from error
    except OSError as error:
        raise ValueError(f'ann_file: cannot read {ann_file}: {error}') from error
    try:
        text = raw.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(f'ann_file: {ann_file} is not a text file (utf-8): {error}') from error
    return parse_image_list(text, ann_file, num_classes)


def parse_image_list(
    text: str, name: str, num_classes: int | None = None
) -> tuple[list[str], Labels]:
    """Parse the text of a list; 437,513 lines take about half a second.

    Args:
        text: one ``path label`` line an image; paths may contain blanks.
        name: of the file, for messages.
        num_classes: ``K``; labels must lie in ``[0, K)``. ``None``: any from 0.

    Returns:
        Paths and ``(N,)`` int64 labels. Image ``i`` stands in line ``i + 1``.

    Raises:
        ValueError: names the file, the line, and what is wrong with it.

    Example:
        >>> parse_image_list('train/a cat.jpg 0\\ntrain/dog.jpg 1\\n', 'list.txt')
        (['train/a cat.jpg', 'train/dog.jpg'], array([0, 1]))
    """
    if not text.strip():
        raise ValueError(f"{name} is empty, expected one 'path label' line an image")
    limit = _MOST_CLASSES if num_classes is None else num_classes
    paths, labels = [], []
    for number, line in enumerate(text.rstrip().split('\n'), start=1):
        fields = line.rsplit(None, 1)
        if len(fields) != 2 or not fields[1].isdecimal():
            raise ValueError(f'{name}, line {number}: {_describe_fault(line)}')
        label = int(fields[1])
        if label >= limit:
            hint = '; labels start at 0' if label == num_classes else ''
            raise ValueError(
                f'{name}, line {number}: label {label} is out of range, '
                f'expected 0 to {limit - 1}{hint}'
            )
        paths.append(fields[0])
        labels.append(label)
    return paths, np.array(labels, dtype=np.int64)


def _describe_fault(line: str) -> str:
    """What is wrong with a line that is not ``path label``."""
    shown = line.strip()
    shown = repr(shown if len(shown) <= 120 else shown[:117] + '...')
    fields = line.split()
    if not fields:
        return "the line is empty, expected 'path label'"
    first, last = fields[0], fields[-1]
    if len(fields) > 1 and _is_integer(last):
        return f'label {last} is out of range, labels start at 0, got {shown}'
    if len(fields) > 1 and _is_integer(first):
        return f"wrong order, expected 'path label', got 'label path': {shown}"
    if len(fields) == 1:
        if ',' in first:
            return f"expected 'path label' separated by a blank, got {shown}"
        what = 'path' if _is_integer(first) else 'label'
        return f"the {what} is missing, expected 'path label', got {shown}"
    if osp.splitext(last)[1] and not _is_number(last):
        return f"the label is missing, expected 'path label', got {shown}"
    return f"label {last!r} is not an integer, expected 'path label', got {shown}"


def _is_integer(text: str) -> bool:
    return text.removeprefix('-').removeprefix('+').isdecimal()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def folder_names(paths: Sequence[str], labels: Labels, num_classes: int) -> tuple[str, ...]:
    """Names of the classes, from the folders of their images.

    Args:
        paths: of the images.
        labels: ``(N,)`` classes of the images.
        num_classes: ``K``.

    Returns:
        ``K`` names: the folder that holds a class's images, if every class has just one and no
        two share it; otherwise the numbers. A class without images has its number.

    Example:
        >>> folder_names(['val/bar/1.jpg', 'val/sea/2.jpg'], np.array([1, 0]), 3)
        ('sea', 'bar', '2')
    """
    folders: dict[int, str] = {}
    numbers = tuple(str(k) for k in range(num_classes))
    for path, label in zip(paths, labels.tolist(), strict=True):
        folder = path.rpartition('/')[0].rpartition('/')[2]
        if not folder or folders.setdefault(label, folder) != folder:
            return numbers
    names = tuple(folders.get(k, numbers[k]) for k in range(num_classes))
    return names if len(set(names)) == num_classes else numbers


def check_images_exist(ann_file: str, paths: Sequence[str], root: str, how_many: int = 8) -> None:
    """Look for a few images, evenly over the list, before hours of training.

    Args:
        ann_file: of the list, for messages.
        paths: full paths of the images, in the order of the list.
        root: folder that they lie under; empty if there is none.
        how_many: images to look for; 0 switches the check off.

    Raises:
        FileNotFoundError: if the root or one of the images does not exist.
    """
    if not how_many or not paths:
        return
    if root and not osp.isdir(root):
        raise FileNotFoundError(
            f'data_prefix: the image root {root} of {ann_file} does not exist, '
            'or is not a folder (it is data_root joined with data_prefix)'
        )
    probes = np.unique(np.linspace(0, len(paths) - 1, min(how_many, len(paths))).astype(int))
    missing = [int(i) for i in probes if not osp.isfile(paths[i])]
    if missing:
        raise FileNotFoundError(
            f'{ann_file}, line {missing[0] + 1}: there is no image {paths[missing[0]]} '
            f'({len(missing)} of {len(probes)} images looked for are missing); '
            'data_root joined with data_prefix must be the folder that the list refers to'
        )


@DATASETS.register_module()
class LongTailListDataset(LongTailMixin):
    """Any list of images with one integer label each.

    Args:
        data_root: folder that ``ann_file`` and ``data_prefix`` are relative to.
        ann_file: the list, one ``path label`` line an image, labels from 0.
        data_prefix: folder that the paths of the list are relative to.
        num_classes: ``K``; ``None``: as many as ``classes``, or largest label of the list + 1.
            Give it where some list lacks the last classes.
        check_images: how many images to look for when the list is read; 0: none.
        imbalance_ratio: imposes an imbalance on the list; ``None``: takes it as it is.
        **kwargs: other options of :class:`LongTailMixin` and ``mmpretrain.datasets.BaseDataset``:
            ``classes``, ``pipeline``, ``indices``, ``test_mode``, ``lazy_init``, ``metainfo``, ...
            Without ``classes`` the class names are those of the images' folders, where each class
            has one of its own, or else the numbers.

    Raises:
        FileNotFoundError: if the list, the image root, or one of a few images does not exist.
        ValueError: if an option or a line of the list is wrong; names the file and the line.

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
        **kwargs: Any,
    ) -> None:
        if not ann_file:
            raise ValueError(f'ann_file must name a list file, got {ann_file!r}')
        if num_classes is not None and num_classes < 1:
            raise ValueError(f'num_classes must be at least 1, got {num_classes}')
        self.num_classes = num_classes
        self.check_images = check_images
        lazy_init = kwargs.pop('lazy_init', False)
        super().__init__(
            data_root=data_root,
            ann_file=ann_file,
            data_prefix=data_prefix,
            lazy_init=True,
            **kwargs,
        )
        if self.CLASSES is not None:
            if num_classes is not None and num_classes != len(self.CLASSES):
                raise ValueError(
                    f'num_classes is {num_classes}, but there are {len(self.CLASSES)} class names'
                )
            self.num_classes = len(self.CLASSES)
        if not lazy_init:
            self.full_init()

    def load_data_list(self) -> list[dict]:
        """Read the list, look for a few of its images, and name the classes."""
        root = self.img_prefix
        paths, labels = read_image_list(self.ann_file, self.num_classes)
        if self.num_classes is None:
            self.num_classes = int(labels.max()) + 1
        if self.CLASSES is None:
            names = folder_names(paths, labels, self.num_classes)
            self._metainfo = {**self._metainfo, 'classes': names}
        # One concatenation a line: the backend's join_path costs more than all the rest.
        folder = root if not root or root.endswith('/') else f'{root}/'
        full = [path if path.startswith('/') else folder + path for path in paths]
        if isinstance(get_file_backend(root or '.', enable_singleton=True), LocalBackend):
            check_images_exist(self.ann_file, full, root, self.check_images)
        return [
            {'img_path': path, 'gt_label': label}
            for path, label in zip(full, labels.tolist(), strict=True)
        ]


class BenchmarkList(LongTailListDataset):
    """A published list: knows its file names and the number of its classes.

    ``LISTS`` maps a split to the name of its list, which is looked for in ``data_root`` unless
    ``ann_file`` names another.
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
        if split not in self.LISTS:
            raise ValueError(f'split must be one of {sorted(self.LISTS)}, got {split!r}')
        kwargs.setdefault('num_classes', self.NUM_CLASSES)
        self.split = split
        super().__init__(
            data_root=data_root,
            ann_file=ann_file or self.LISTS[split],
            data_prefix=data_prefix,
            **kwargs,
        )
