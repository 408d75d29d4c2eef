"""Which images there are, of which class, and in which split: from folders, tables and lists.

Classes are aligned by their names, so that a split may lack one or order them otherwise.
"""

from __future__ import annotations

import csv
import os
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from mmlt.datasets.lists import folder_names, parse_image_list
from mmlt.functional.checks import refuse

from ..check.sources import read_splits
from ..config import read_config
from ..predict.images import SUFFIXES, images_inside, other_files
from ..text import printable

__all__ = ['SPLITS', 'Gathered', 'Image', 'check_kept', 'gather']

SPLITS = ('train', 'val', 'test')
_SPLIT_NAMES = {
    'train': 'train', 'training': 'train', 'val': 'val', 'valid': 'val', 'validation': 'val',
    'test': 'test', 'testing': 'test',
}  # fmt: skip
_COLUMNS = ('path', 'label')


class Image(NamedTuple):
    """An image: its path, the name of its class, its split where that is given."""

    path: str
    name: str
    split: str | None = None


@dataclass
class Gathered:
    """What was found.

    Args:
        images: with absolute paths.
        notes: what a user should know, a line each.
    """

    images: list[Image] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        """The folder that all images are in; ``ValueError`` if they have none in common."""
        folders = {os.path.dirname(image.path) for image in self.images}
        root = Path(os.path.commonpath(folders))
        if root == Path(root.anchor):
            lonely = sorted(folders)
            raise ValueError(
                'IMAGES: expected images below one folder, because a project names one, got '
                f'{lonely[0]} and {lonely[-1]}: bring or link both into one folder'
            )
        return root


def gather(sources: Sequence[Path], root: Path | None = None, test: Path | None = None) -> Gathered:
    """All images, whether they can be read or not.

    Args:
        sources: one folder, one table ``.csv``, one config, or lists ``.txt``.
        root: what the paths of tables and lists are relative to; the folder of each by default.
        test: a folder with more images, a folder for each class, all of them for the test.

    Raises:
        ValueError: one line that names the source, and what is wrong with it.
    """
    for source in sources:
        if not source.exists():
            raise ValueError(
                f'IMAGES: expected a folder, a table or lists, got no file or folder {source}'
            )
    read = _reader(sources)
    if root is not None and not root.is_dir():
        raise ValueError(f'--root: expected a folder, got {root}')
    if root is not None and read in (_read_folder, _read_config):
        raise ValueError(f'--root: expected it beside a table or lists, got it beside {sources[0]}')
    found = read([Path(os.path.abspath(source)) for source in sources], root)
    if not found.images:
        raise ValueError(
            f'IMAGES: expected images ({" ".join(SUFFIXES)}) in a folder for each class, got none '
            f'in {sources[0]}'
        )
    if test is not None:
        _add_test(found, test)
    folders = [folder for folder in (*sources, test) if folder is not None and folder.is_dir()]
    found.notes += filter(None, [other_files(folders)])
    images = [image._replace(name=_normal(image.name)) for image in found.images]
    found.images = _nameable(images, found.notes)
    return found


_Reader = Callable[[Sequence[Path], Path | None], Gathered]


def _reader(sources: Sequence[Path]) -> _Reader:
    kinds = {'folder' if source.is_dir() else source.suffix.lower() for source in sources}
    if kinds <= {'.txt', '.lst'}:
        return _read_lists
    if len(sources) > 1:
        raise ValueError(
            'IMAGES: expected one folder, one table, one config or several lists (.txt), got '
            + ' '.join(map(str, sources))
        )
    kind = kinds.pop()
    readers: dict[str, _Reader] = {'folder': _read_folder, '.csv': _read_table, '.py': _read_config}
    if kind not in readers:
        raise ValueError(
            'IMAGES: expected a folder, a table (.csv), lists (.txt) or a config (.py), got '
            f'{sources[0]}'
        )
    return readers[kind]


def _read_folder(sources: Sequence[Path], root: Path | None) -> Gathered:
    """A folder for each class, or folders ``train``, ``val``, ``test`` of such folders."""
    source, found = sources[0], Gathered()
    inside = {folder: list(images_inside(folder)) for folder in _folders(source)}
    splits = {
        folder: _split_of(folder.name) for folder in inside if _is_split(folder, inside[folder])
    }
    divided = 'train' in splits.values()
    for folder, paths in inside.items():
        if folder in splits:
            found.images += _of_split(folder, splits[folder], found.notes)
        elif not divided:
            found.images += [Image(path, folder.name) for path in paths]
        elif paths:
            found.notes.append(
                f'{folder.name}: {len(paths)} images in no folder of a class of a split, left out'
            )
    with_images = {image.name for image in found.images}
    classes = chain.from_iterable(_folders(folder) for folder in splits) if divided else inside
    empty = {folder.name for folder in classes if folder not in splits} - with_images
    if empty:
        found.notes.append(f'folders without images, left out: {_some(sorted(empty))}')
    loose = _note_loose(source, found.notes)
    if loose and not found.images:
        raise ValueError(
            f'IMAGES: expected a folder for each class, got {loose} images directly in {source}'
        )
    if len(with_images) == 1:
        only = next(folder for folder in inside if inside[folder])
        hint = f': give {only} if its folders are the classes' if _folders(only) else ''
        raise ValueError(
            'IMAGES: expected folders of at least two classes, got one class, '
            f'{next(iter(with_images))!r}, in {source}{hint}'
        )
    return found


def _add_test(found: Gathered, folder: Path) -> None:
    if not folder.is_dir():
        raise ValueError(f'--test: expected a folder with a folder for each class, got {folder}')
    if any(image.split == 'test' for image in found.images):
        raise ValueError(f'--test: expected IMAGES without test images of its own, got {folder}')
    given = _of_split(Path(os.path.abspath(folder)), 'test', found.notes)
    if not given:
        raise ValueError(
            f'--test: expected images in a folder for each class, got none in {folder}'
        )
    others = {image.path for image in given}
    found.images = [image for image in found.images if image.path not in others] + given


def _of_split(folder: Path, split: str | None, notes: list[str]) -> list[Image]:
    """The images of a split, in a folder for each class."""
    _note_loose(folder, notes)
    return [
        Image(path, inner.name, split)
        for inner in _folders(folder)
        for path in images_inside(inner)
    ]


def _note_loose(folder: Path, notes: list[str]) -> int:
    """How many images lie directly in a folder of classes."""
    loose = sum(Path(path).parent == folder for path in images_inside(folder))
    if loose:
        notes.append(f'{loose} images directly in {folder}, of no class, left out')
    return loose


def _folders(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if one.is_dir() and not one.name.startswith('.'))


def _split_of(name: str) -> str | None:
    return _SPLIT_NAMES.get(name.strip().lower())


def _is_split(folder: Path, paths: Sequence[str]) -> bool:
    """A folder of that name with images in folders; a class may be called ``train``."""
    nested = any(Path(path).parent != folder for path in paths)
    return nested and _split_of(folder.name) is not None


def _read_table(sources: Sequence[Path], root: Path | None) -> Gathered:
    """A CSV file with the columns ``path``, ``label`` and, if wanted, ``split``."""
    table, found = sources[0], Gathered()
    try:
        with table.open(newline='', encoding='utf-8-sig') as file:
            rows = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f'{table}: expected a table in UTF-8, got another file: {error}'
        ) from error
    header = [name.strip().lower() for name in rows[0]] if rows else []
    if any(header.count(name) != 1 for name in _COLUMNS):
        raise ValueError(
            f"{table}: expected columns 'path' and 'label' (and 'split') in its first line, got "
            f'{",".join(rows[0]) if rows else "an empty file"!r}'
        )
    for number, row in enumerate(rows[1:], start=2):
        cells = dict(zip(header, map(str.strip, row), strict=False))
        where = f'{table}, line {number}'
        if any(map(str.strip, row[len(header) :])):
            raise ValueError(
                f'{where}: expected {len(header)} cells, as in its first line, got {len(row)} in '
                f'{",".join(row)!r}: a cell with a comma stands in "quotation marks"'
            )
        if not any(cells.values()):
            continue
        if not cells.get('path') or not cells.get('label'):
            raise ValueError(f'{where}: expected a path and a label, got {",".join(row)!r}')
        split = cells.get('split') or None
        if split is not None and _split_of(split) is None:
            raise ValueError(f'{where}: split: expected train, val or test, got {split!r}')
        path = os.path.abspath(Path(root or table.parent, cells['path']))
        found.images.append(Image(path, cells['label'], _split_of(split) if split else None))
    return found


def _read_lists(sources: Sequence[Path], root: Path | None) -> Gathered:
    """Lists of ``path label`` lines; ``train``, ``val`` or ``test`` in a name says the split."""
    found = Gathered()
    lines: list[tuple[str, int, str | None]] = []
    for source in sources:
        try:
            text = source.read_text(encoding='utf-8-sig')
        except UnicodeDecodeError as error:
            raise ValueError(f'{source}: expected a list in UTF-8, got another file') from error
        paths, labels = parse_image_list(text, str(source))
        words = ''.join(c if c.isalpha() else ' ' for c in source.stem).split()
        splits = {_split_of(word) for word in words} - {None}
        if len(splits) != 1 and len(sources) > 1:
            raise ValueError(
                f'IMAGES: expected train, val or test in the name of each list, got {source}'
            )
        split = splits.pop() if len(splits) == 1 else None
        base = root or source.parent
        absolute = [os.path.abspath(base / path) for path in paths]
        lines += [(p, k, split) for p, k in zip(absolute, labels.tolist(), strict=True)]
    names = _list_names(sources[0].parent / 'classes.txt', lines)
    found.images = [Image(path, names[label], split) for path, label, split in lines]
    return found


def _list_names(file: Path, lines: Sequence[tuple[str, int, str | None]]) -> Sequence[str]:
    """Names of the classes: of ``classes.txt`` beside the list, of folders, or numbers."""
    number = max(label for _, label, _ in lines) + 1
    if file.is_file():
        names = file.read_text(encoding='utf-8-sig').split('\n')
        names = names[: len(names) - (not names[-1])]
        if len(names) < number:
            raise ValueError(f'{file}: expected {number} names of classes, got {len(names)}')
        _check_distinct(names, str(file))
        return names
    import numpy as np

    labels = np.array([label for _, label, _ in lines], dtype=np.int64)
    return folder_names([path for path, _, _ in lines], labels, number)


def _check_distinct(names: Sequence[str], source: str) -> None:
    """``ValueError`` if a name stands at two labels, since classes are known by their names."""
    labels: dict[str, int] = {}
    for label, name in enumerate(names):
        former = labels.setdefault(_normal(name), label)
        if former != label:
            raise ValueError(
                f'{source}: expected another name for each class, got {name!r} at the labels '
                f'{former} and {label}'
            )


def _normal(name: str) -> str:
    """One spelling of a name whose accents may be written in several ways."""
    return unicodedata.normalize('NFC', name)


def _read_config(sources: Sequence[Path], root: Path | None) -> Gathered:
    """The data sets of a config; a test set that is also the validation set is the test set."""
    found = Gathered()
    for split in read_splits(read_config(str(sources[0]), None)):
        if split.fault is not None:
            raise ValueError(f'{sources[0]}: {split.name}: {split.data_set}: {split.fault}')
        if split.in_memory or split.remote:
            raise ValueError(
                f'{sources[0]}: {split.name}: expected images in files, got {split.data_set} with '
                f'{split.in_memory + split.remote} images in memory or on a server'
            )
        _check_distinct(split.classes, f'{sources[0]}: {split.name}')
        name = 'train' if split.trains else split.names[-1]
        for image in split.images:
            if not isinstance(image.label, int):
                raise refuse(f'{sources[0]}: label of {image.path}', 'one class', image.label)
            classes = len(split.classes)
            if classes and not 0 <= image.label < classes:
                where = f'{sources[0]}: label of {image.path}'
                raise refuse(where, f'in [0, {classes}), the classes of the data set', image.label)
            known = split.classes[image.label] if classes else str(image.label)
            found.images.append(Image(os.path.abspath(image.path), known, name))
    return found


def _nameable(images: Sequence[Image], notes: list[str]) -> list[Image]:
    """Those that a list of lines in UTF-8 can name."""
    good: list[Image] = []
    bad: list[str] = []
    for image in images:
        try:
            image.name.encode(), image.path.encode()
            fits = not any(c in image.path or c in image.name for c in '\n\r\0')
        except UnicodeEncodeError:
            fits = False
        good.append(image) if fits else bad.append(image.path)
    if bad:
        notes.append(
            f'{len(bad)} images whose names hold line breaks or no UTF-8, left out: {_some(bad)}'
        )
    check_kept(images, good, dict.fromkeys(bad, 'its name holds a line break or no UTF-8'))
    return good


def check_kept(before: Sequence[Image], after: Sequence[Image], reasons: Mapping[str, str]) -> None:
    """``ValueError`` if a split that was given has lost all its images.

    It would be drawn from the training images in place of the user's own.

    Args:
        before: all images.
        after: those that are used.
        reasons: path of an image that is not used -> why.
    """
    left = {image.split for image in after}
    for split in SPLITS:
        paths = [image.path for image in before if image.split == split]
        if paths and split not in left:
            raise ValueError(
                f'IMAGES: expected images of {split} that can be used, got none among '
                f'{len(paths)}; the first is {_some(paths[:1])} ({reasons.get(paths[0], "")})'
            )


def _some(names: Sequence[str], most: int = 5) -> str:
    """The first few of some names, for a line."""
    shown = ', '.join(printable(name.encode(errors='replace').decode()) for name in names[:most])
    return shown if len(names) <= most else f'{shown} and {len(names) - most} more'
