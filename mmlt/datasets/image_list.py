"""List files with one ``path label`` line an image: reading them, and saying what is wrong."""

from __future__ import annotations

import os.path as osp
from collections.abc import Sequence

import numpy as np
from mmengine.fileio import get

from .labels import Labels

__all__ = ['check_images_exist', 'folder_names', 'parse_image_list', 'read_image_list']

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
