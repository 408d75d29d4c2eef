"""Training images per class: from a config, a list of the training images, or a table."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmpretrain.registry import DATASETS

from mmlt.datasets.labels import training_class_counts
from mmlt.evaluation.names import from_cell
from mmlt.functional.checks import one_line
from mmlt.functional.counts import count_labels
from mmlt.weight_files import read_checkpoint

from ..config import read_config

__all__ = [
    'HOW_TO_GIVE',
    'counts_from',
    'counts_of_checkpoint',
    'counts_of_config',
    'names_beside',
    'only_numbered',
]

HOW_TO_GIVE = (
    '--class-counts-from FILE gives them: a list of the training images (path and label in each '
    'line), the config that it was trained with, or a table (.csv) with a column train_count or '
    'label'
)


def counts_of_config(cfg: Config, num_classes: int) -> list[int]:
    """Of the training data set of a config.

    Raises ``ValueError`` if there is none, or it cannot be read.
    """
    loader = cfg.get('train_dataloader')
    if not loader or not loader.get('dataset'):
        raise ValueError('train_dataloader.dataset: expected the training data, got none')
    try:
        counts = training_class_counts(DATASETS.build(loader.dataset), num_classes)
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, ImportError) as error:
        raise ValueError(
            'train_dataloader.dataset: expected training data that can be read, got '
            f'{one_line(error)}'
        ) from error
    return _checked(counts, num_classes, 'train_dataloader.dataset')


def counts_of_checkpoint(
    checkpoint: str, num_classes: int, trust: bool = False
) -> list[int] | None:
    """What ``LongTailHook`` has written into a checkpoint; None where it has not."""
    meta = read_checkpoint(checkpoint, trust=trust).get('meta') or {}
    told = (meta.get('dataset_meta') or {}).get('class_counts')
    return [int(count) for count in told] if told and len(told) == num_classes else None


def counts_from(path: Path, classes: Sequence[str]) -> list[int]:
    """From a file that the user names.

    Args:
        path: a config (.py), a table (.csv), or a list with path and label in each line. Labels
            of a list are indices wherever all can be; rows of a table are aligned by ``name``.
        classes: ``K`` names, for labels that are names.

    Returns:
        ``K`` counts.

    Raises:
        ValueError: if the file cannot be read, or does not fit the classes.
    """
    name = '--class-counts-from'
    if not path.is_file():
        got = 'a folder' if path.is_dir() else 'no such file'
        raise ValueError(f'{name}: expected a list, a config or a table, got {got}: {path}')
    if path.suffix == '.py':
        return counts_of_config(read_config(str(path), None), len(classes))
    try:
        text = path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(f'{name}: expected a text file, got {path}') from error
    if path.suffix == '.csv':
        rows = list(csv.DictReader(text.splitlines()))
        return _from_table(rows, classes, f'{name}: {path}')
    labels = [line.split()[-1] for line in text.splitlines() if line.strip()]
    # Indices are the format of such lists, also where classes are named by numbers.
    known = _numbered(labels, classes) or _named(labels, classes)
    return _count(known, labels, classes, f'{name}: {path}')


def only_numbered(classes: Sequence[str]) -> bool:
    """Whether the names of classes are but their indices, as where none are known."""
    return list(classes) == [str(k) for k in range(len(classes))]


def names_beside(path: Path, classes: Sequence[str]) -> list[str]:
    """Names of classes that are only numbered, from ``classes.txt`` beside a list or a table.

    Args:
        path: the list or table.
        classes: ``K`` names.

    Returns:
        ``K`` names: those of the file if it has as many, else ``classes`` as they are.
    """
    file = path.parent / 'classes.txt'
    if not file.is_file() or not only_numbered(classes):
        return list(classes)
    names = file.read_text(encoding='utf-8-sig').removesuffix('\n').split('\n')
    return names if len(names) == len(classes) else list(classes)


def _from_table(rows: list[dict[str, Any]], classes: Sequence[str], where: str) -> list[int]:
    columns = set(rows[0]) if rows else set()
    if 'label' in columns:
        kept = [row for row in rows if row.get('split') in (None, '', 'train')]
        labels = [from_cell(row['label'] or '') for row in kept]
        named, numbered = _named(labels, classes), _numbered(labels, classes)
        if named and numbered and named != numbered:
            got = next(
                label for label, *k in zip(labels, named, numbered, strict=True) if k[0] != k[1]
            )
            raise ValueError(
                f'{where}: label: expected names of classes or their indices, got {got!r}, which '
                'is the name of one class and the index of another; a list (.txt) of path and '
                'index tells which is meant'
            )
        return _count(named or numbered, labels, classes, where)
    if 'train_count' not in columns:
        got = ', '.join(sorted(str(column) for column in columns)) or 'an empty table'
        raise ValueError(f'{where}: expected a column train_count or label, got {got}')
    try:
        counts = [int(row['train_count']) for row in rows]
    except (TypeError, ValueError) as error:
        raise ValueError(
            f'{where}: train_count: expected an integer in each row: {error}'
        ) from None
    if 'class_id' in columns and [row['class_id'] for row in rows] != [*map(str, range(len(rows)))]:
        raise ValueError(f'{where}: class_id: expected 0, 1, ... in this order, got another')
    counts = _checked(counts, len(classes), where)
    names = [from_cell(row.get('name') or '') for row in rows]
    same = sorted(names) == sorted(classes)
    # Where classes are only numbered, as in a .pkl, the numbers of the table say which is which.
    by_number = 'class_id' in columns and only_numbered(classes)
    if 'name' not in columns or names == list(classes) or (by_number and not same):
        return counts
    if by_number or not same or len(set(names)) < len(names):
        got = next((repr(name) for name in names if name not in classes), 'them in another order')
        raise ValueError(f'{where}: name: expected the names of the classes, got {got}')
    of_name = dict(zip(names, counts, strict=True))
    return [of_name[name] for name in classes]


def _named(labels: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Labels read as names of classes; empty if one is none."""
    index = {name: k for k, name in enumerate(classes)}
    found = [index[label] for label in labels if label in index]
    return found if len(found) == len(labels) else []


def _numbered(labels: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Labels read as indices of classes; empty if one is none."""
    found = [int(x) for x in labels if x.isdecimal() and int(x) < len(classes)]
    return found if len(found) == len(labels) else []


def _count(
    known: Sequence[int], labels: Sequence[str], classes: Sequence[str], where: str
) -> list[int]:
    if labels and not known:
        wrong = [x for x in dict.fromkeys(labels) if x not in classes]
        got = next((repr(x) for x in wrong if not _numbered([x], classes)), 'a mixture of both')
        expected = f'labels that are names of classes, or integers below {len(classes)}'
        raise ValueError(f'{where}: expected {expected}, got {got}')
    return _checked(
        count_labels(np.array(known, dtype=np.int64), len(classes)), len(classes), where
    )


def _checked(counts: Sequence[int], num_classes: int, where: str) -> list[int]:
    if len(counts) != num_classes or not any(counts):
        expected = f'counts of {num_classes} classes, as many as the model predicts'
        raise ValueError(f'{where}: expected {expected}, got {len(counts)}, {sum(counts)} images')
    return [int(count) for count in counts]
