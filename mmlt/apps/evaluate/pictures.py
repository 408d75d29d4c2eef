"""Two pictures beside the tables: accuracy of each class, and what is taken for what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmlt.functional.metrics.uncertainty import wilson_interval

from ..pictures import COLOURS, GREY, count_axis, label_dots, mean_lines, name_ticks, picture
from ..predictions import Predictions
from .judge import Judged

__all__ = ['GROUPED_ABOVE', 'confusion_shares', 'draw_accuracy', 'draw_confusion']

GROUPED_ABOVE = 60
GROUPS = 30
NUMBERS_UP_TO = 20
NAMES_UP_TO = 34
INTERVALS_UP_TO = 200


def frequency_order(predictions: Predictions) -> NDArray[np.int64]:
    """Classes ``(K,)``, most training images first; without counts as they are."""
    if predictions.class_counts is None:
        return np.arange(len(predictions.classes))
    return np.argsort(-predictions.class_counts, kind='stable')


def confusion_shares(
    predictions: Predictions, judged: Judged
) -> tuple[list[str], NDArray[np.float64]]:
    """Rows and columns of the confusion, ordered by frequency, grouped where there are many.

    Returns:
        Names of the ``G`` classes or groups, and the shares ``(G, G)`` of the images of each row,
        ``nan`` in a row without images. A group is named by the range of its training images.
    """
    order = frequency_order(predictions)
    classes = len(order)
    parts = (
        np.array_split(order, GROUPS)
        if classes > GROUPED_ABOVE
        else [order[k : k + 1] for k in range(classes)]
    )
    group = np.empty(classes, dtype=np.int64)
    for index, members in enumerate(parts):
        group[members] = index
    known = judged.predicted >= 0
    codes = group[predictions.labels[known]] * len(parts) + group[judged.predicted[known]]
    images = np.bincount(codes, minlength=len(parts) ** 2).reshape(len(parts), len(parts))
    with np.errstate(invalid='ignore'):
        shares = images / images.sum(axis=1, keepdims=True)
    return [_group_name(predictions, members) for members in parts], shares


def _group_name(predictions: Predictions, members: NDArray[np.int64]) -> str:
    if len(members) == 1:
        return str(predictions.classes[members[0]])
    if predictions.class_counts is None:
        return f'classes {members[0]} to {members[-1]}'
    counts = predictions.class_counts[members]
    most, least = int(counts.max()), int(counts.min())
    images = str(most) if most == least else f'{most} to {least}'
    return f'{images} images'


def draw_confusion(path: Path, names: Sequence[str], shares: NDArray[np.float64]) -> None:
    """Write the matrix as a picture."""
    size = min(3.5 + 0.22 * len(names), 12)
    with picture(path, size + 1.5, size) as figure:
        axes = figure.subplots()
        image = axes.imshow(100 * shares, vmin=0, vmax=100)
        name_ticks(axes, 'x', names)
        name_ticks(axes, 'y', names)
        axes.set_xlabel('predicted class')
        axes.set_ylabel('true class, most training images first')
        axes.spines[:].set_visible(False)
        if len(names) <= NUMBERS_UP_TO:
            for (row, column), share in np.ndenumerate(shares):
                if share >= 0.005:
                    colour = 'white' if share > 0.5 else 'black'
                    text = f'{100 * share:.0f}'
                    axes.text(column, row, text, ha='center', va='center', fontsize=7, color=colour)
        bar = figure.colorbar(image, ax=axes, fraction=0.04, label='% of the images of a row')
        bar.outline.set_visible(False)


def draw_accuracy(
    path: Path, predictions: Predictions, judged: Judged, thresholds: tuple[int, int]
) -> None:
    """Write the accuracy of each class against its training images, with 95 % intervals."""
    if predictions.class_counts is None:
        return
    tallies, counts = judged.tallies, np.maximum(predictions.class_counts, 0.5)
    low, high = (100 * end for end in wilson_interval(tallies.correct, tallies.targets))
    accuracy = 100 * tallies.accuracy
    known = ~np.isnan(accuracy)
    with picture(path, 7.2, 4.2) as figure:
        axes = figure.subplots()
        if known.sum() <= INTERVALS_UP_TO:
            axes.vlines(counts[known], low[known], high[known], color=COLOURS[0], alpha=0.35)
        alpha = 0.8 if known.sum() <= INTERVALS_UP_TO else 0.3
        axes.scatter(counts[known], accuracy[known], s=18, linewidth=0, alpha=alpha)
        count_axis(axes, 'x', counts.min(), counts.max())
        axes.set_ylim(-2, 106)
        for limit in thresholds:
            if counts.min() < limit < counts.max():
                axes.axvline(limit, color=GREY, linestyle=':', linewidth=1)
        groups = []
        for shot, mask in judged.groups.items():
            mask = mask & known
            if mask.any():
                mean = float(accuracy[mask].mean())
                groups.append((f'{shot}-shot', mean, counts[mask].min(), counts[mask].max()))
        mean_lines(axes, groups)
        if known.sum() <= NAMES_UP_TO:
            places = counts[known].tolist(), accuracy[known].tolist()
            label_dots(axes, *places, predictions.classes[known].tolist())
        axes.set_xlabel('training images of the class (logarithmic)')
        axes.set_ylabel('test accuracy of the class (%)')
