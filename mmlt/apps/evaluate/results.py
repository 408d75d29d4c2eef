"""What an evaluation leaves in a folder, and the table that it prints."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmlt.checkpoints import write_text_whole
from mmlt.evaluation.names import write_csv
from mmlt.evaluation.per_class_table import per_class_rows, write_per_class_csv
from mmlt.functional.metrics.tallies import most_confused_with

from ..predictions import Predictions, save_predictions
from ..text import aligned, plain
from .judge import Judged
from .pictures import confusion_shares, draw_accuracy, draw_confusion

__all__ = ['COLUMNS', 'confused_pairs', 'save_results', 'table_of', 'worst_line']

# Of the metric's figures, for tables and pages.
COLUMNS = {
    'top1': 'all',
    'class_mean': 'class mean',
    'many_shot': 'many',
    'medium_shot': 'medium',
    'few_shot': 'few',
    'worst_class': 'worst',
    'harmonic_mean': 'harmonic',
    'macro_f1': 'macro F1',
    'ece': 'ECE',
}


def table_of(judged: Mapping[str, Judged]) -> str:
    """Figures in per cent, one line for each way to read the predictions."""
    columns = [name for name in COLUMNS if any(name in one.figures for one in judged.values())]
    rows = [['', *(COLUMNS[name] for name in columns)]]
    for title, one in judged.items():
        values = [one.figures.get(name, math.nan) for name in columns]
        rows.append([title, *('' if math.isnan(value) else f'{value:.1f}' for value in values)])
    return aligned(rows)


def worst_line(predictions: Predictions, judged: Judged) -> str:
    """The worst class in one sentence; of several, the first, and the names of the others."""
    accuracy = judged.tallies.accuracy
    lowest = float(np.nanmin(accuracy))
    worst = np.flatnonzero(accuracy == lowest)
    counts = predictions.class_counts
    trained = '' if counts is None else f', {counts[worst[0]]} training images'
    others = _named([str(predictions.classes[k]) for k in worst[1:]])
    images = judged.tallies.targets[worst[0]]
    low, high = judged.intervals['worst_class']
    return (
        f'worst class: {predictions.classes[worst[0]]} ({100 * lowest:.1f} % of {images} '
        f'image{"s" if images > 1 else ""}, '
        f'95 % interval {low:.0f} to {high:.0f}{trained}){others}'
    )


def _named(ties: Sequence[str], most: int = 5) -> str:
    if not ties:
        return ''
    rest = f' and {len(ties) - most} others' if len(ties) > most else ''
    return f'; as low: {", ".join(ties[:most])}{rest}'


def confused_pairs(predictions: Predictions, judged: Judged) -> list[tuple[int, int, int]]:
    """True class, predicted class and images of each kind of error, most images first."""
    classes = len(predictions.classes)
    wrong = (judged.predicted != predictions.labels) & (judged.predicted >= 0)
    codes = predictions.labels[wrong] * classes + judged.predicted[wrong]
    pairs, images = np.unique(codes, return_counts=True)
    order = np.argsort(-images, kind='stable')
    return [(int(pairs[k]) // classes, int(pairs[k]) % classes, int(images[k])) for k in order]


def save_results(
    folder: Path,
    predictions: Predictions,
    judged: Mapping[str, Judged],
    thresholds: tuple[int, int],
    about: Mapping[str, Any],
    pictures: bool = True,
) -> None:
    """Write predictions, figures, tables and pictures.

    Args:
        folder: made if it is missing.
        predictions: of the split.
        judged: title -> figures; the first is that of the predictions as they are.
        thresholds: limits of the shots.
        about: what else the figures need to be understood, for ``metrics.json``.
        pictures: draw them too.
    """
    first = next(iter(judged.values()))
    classes, counts = len(predictions.classes), predictions.class_counts
    save_predictions(folder / 'predictions.npz', predictions)
    confused = most_confused_with(first.predicted, predictions.labels, classes)
    known = None if counts is None else counts.tolist()
    rows = per_class_rows(
        first.tallies, confused, known, first.groups, predictions.classes.tolist()
    )
    write_per_class_csv(folder / 'per_class.csv', rows)
    errors = confused_pairs(predictions, first)
    right = [(k, k, int(n)) for k, n in enumerate(first.tallies.correct) if n]
    names = predictions.classes
    write_csv(
        folder / 'confusion.csv',
        ('true', 'predicted', 'images', 'true_name', 'predicted_name'),
        (
            [str(true), str(predicted), str(images), names[true], names[predicted]]
            for true, predicted, images in sorted([*right, *errors])
        ),
    )
    figures = {
        title: dict(figures=plain(one.figures), intervals=plain(one.intervals))
        for title, one in judged.items()
    }
    known_about = dict(
        split=predictions.split,
        images=len(predictions.labels),
        classes=classes,
        thresholds=list(thresholds),
        **about,
        results=figures,
    )
    text = json.dumps(known_about, indent=2, ensure_ascii=False)
    write_text_whole(text + '\n', folder / 'metrics.json')
    if pictures:
        draw_confusion(folder / 'confusion.png', *confusion_shares(predictions, first))
        draw_accuracy(folder / 'accuracy.png', predictions, first, thresholds)
