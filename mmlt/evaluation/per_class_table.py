"""The per-class table of an evaluation, a CSV file, and what an evaluation has to leave out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmlt.functional.metrics.tallies import ClassTallies

from .names import write_csv

__all__ = ['PerClassRow', 'describe_omissions', 'per_class_rows', 'write_per_class_csv']


@dataclass(frozen=True)
class PerClassRow:
    """One class of the table; accuracy (the recall of the class), precision and F1 in per cent.

    None stands for an unknown ``train_count``, for the accuracy and F1 of a class without test
    images, for the precision of one that is never predicted, and in ``most_confused_with``, the
    most frequent wrong prediction, for one without any. ``shot`` is ``many``, ``medium`` or
    ``few``; like the names it is empty if unknown.
    """

    class_id: int
    name: str
    train_count: int | None
    shot: str
    test_images: int
    accuracy: float | None
    precision: float | None
    f1: float | None
    most_confused_with: int | None
    most_confused_name: str


COLUMNS = tuple(field.name for field in fields(PerClassRow))


def per_class_rows(
    tallies: ClassTallies,
    confused_with: NDArray[np.int64],
    class_counts: Sequence[int] | None = None,
    groups: Mapping[str, NDArray[np.bool_]] | None = None,
    names: Sequence[str] | None = None,
) -> list[PerClassRow]:
    """The ``K`` rows of the table, in the order of the classes.

    Args:
        tallies: counts per class.
        confused_with: ``(K,)`` index of the most frequent wrong prediction, -1 for none.
        class_counts: ``(K,)`` training images.
        groups: shot name -> ``(K,)`` bool.
        names: ``K`` class names.
    """
    num_classes = len(tallies.targets)
    names = [''] * num_classes if names is None else names
    shots = [''] * num_classes
    for shot, mask in (groups or {}).items():
        for index in np.flatnonzero(mask):
            shots[index] = shot
    percent = [
        [None if np.isnan(value) else 100 * float(value) for value in column]
        for column in (tallies.accuracy, tallies.precision, tallies.f1)
    ]
    return [
        PerClassRow(
            class_id=index,
            name=str(names[index]),
            train_count=None if class_counts is None else int(class_counts[index]),
            shot=shots[index],
            test_images=int(tallies.targets[index]),
            accuracy=percent[0][index],
            precision=percent[1][index],
            f1=percent[2][index],
            most_confused_with=int(other) if other >= 0 else None,
            most_confused_name=str(names[other]) if other >= 0 else '',
        )
        for index, other in enumerate(confused_with)
    ]


def write_per_class_csv(path: str | Path, rows: Sequence[PerClassRow]) -> None:
    """Write the table, with its folder; an older file is replaced in one step.

    Names that a spreadsheet would run as a formula are written as text.
    """
    write_csv(path, COLUMNS, (list(map(_to_text, astuple(row))) for row in rows))


def _to_text(value: Any) -> str:
    if value is None:
        return ''
    return f'{value:.4f}' if isinstance(value, float) else str(value)


def describe_omissions(
    tallies: ClassTallies, ranked: NDArray[np.int32], topk: Sequence[int], has_class_counts: bool
) -> list[str]:
    """What an evaluation leaves out, and why, in one sentence each, for the log.

    ``ranked`` are ``(N, M)`` predictions, best first; -1 where the scores were not numbers.
    """
    notes = []
    if not has_class_counts:
        notes.append(
            'no training class counts: many_shot, medium_shot and few_shot are left out. Add '
            "default_hooks = dict(long_tail=dict(type='LongTailHook')), which takes the counts "
            'from the training set, or from the checkpoint at test'
        )
    num_classes = len(tallies.targets)
    untested = np.flatnonzero(tallies.targets == 0)
    if len(untested):
        shown = ', '.join(str(index) for index in untested[:10])
        notes.append(
            f'{len(untested)} of {num_classes} classes have no test images and are left out of '
            f'the per-class figures: {shown}{", ..." if len(untested) > 10 else ""}'
        )
    too_large = [f'top{k}' for k in topk if k > ranked.shape[1]]
    if too_large:
        reason = (
            f'there are only {num_classes} classes'
            if ranked.shape[1] == num_classes
            else 'the model gives labels without scores'
        )
        notes.append(f'{", ".join(too_large)} left out: {reason}')
    lost = int((ranked[:, 0] < 0).sum())
    if lost:
        notes.append(
            f'{lost} of {len(ranked)} images have scores that are not numbers; they count as wrong'
        )
    return notes
