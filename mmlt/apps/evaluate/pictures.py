"""Two pictures beside the tables: accuracy of each class, and what is taken for what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray

from mmlt.evaluation.names import picture_text
from mmlt.functional.metrics.uncertainty import wilson_interval

from ..predictions import Predictions
from .judge import Judged

__all__ = ['GROUPED_ABOVE', 'confusion_shares', 'draw_accuracy', 'draw_confusion']

matplotlib.use('Agg')
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

BLUE, GREY = '#0072B2', '0.55'
GROUPED_ABOVE = 60
GROUPS = 30


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
    figure, axes = plt.subplots(figsize=(size + 1.5, size), dpi=120)
    image = axes.imshow(100 * shares, cmap='Blues', vmin=0, vmax=100)
    labels = [picture_text(_short(name)) for name in names]
    axes.set_xticks(range(len(names)), labels, rotation=90, fontsize=8)
    axes.set_yticks(range(len(names)), labels, fontsize=8)
    axes.set_xlabel('predicted')
    axes.set_ylabel('true class, most training images first')
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(length=0)
    if len(names) <= 20:
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.005:
                colour = 'white' if share > 0.5 else 'black'
                text = f'{100 * share:.0f}'
                axes.text(column, row, text, ha='center', va='center', fontsize=7, color=colour)
    figure.colorbar(
        image, ax=axes, fraction=0.04, label='% of the images of a row'
    ).outline.set_visible(False)
    _save(figure, path)


def draw_accuracy(
    path: Path, predictions: Predictions, judged: Judged, thresholds: tuple[int, int]
) -> None:
    """Write the accuracy of each class against its training images, with 95 % intervals."""
    if predictions.class_counts is None:
        return
    tallies, counts = judged.tallies, np.maximum(predictions.class_counts, 0.5)
    low, high = wilson_interval(tallies.correct, tallies.targets)
    accuracy = tallies.accuracy
    figure, axes = plt.subplots(figsize=(7.2, 4.2), dpi=120)
    known = ~np.isnan(accuracy)
    if known.sum() <= 200:
        bars = [
            100 * np.maximum(accuracy - low, 0)[known],
            100 * np.maximum(high - accuracy, 0)[known],
        ]
        axes.errorbar(
            counts[known], 100 * accuracy[known], bars, fmt='none', ecolor=BLUE, alpha=0.35
        )
    axes.scatter(counts[known], 100 * accuracy[known], s=18, color=BLUE, linewidth=0, alpha=0.8)
    axes.set_xscale('log')
    for limit in thresholds:
        if counts.min() < limit < counts.max():
            axes.axvline(limit, color=GREY, linestyle=':', linewidth=1)
    for shot, mask in judged.groups.items():
        mask = mask & known
        if mask.any():
            mean = 100 * float(accuracy[mask].mean())
            axes.hlines(mean, counts[mask].min(), counts[mask].max(), color='0.2', linewidth=1.2)
            text = f'{shot}: mean {mean:.0f}'
            middle = np.sqrt(counts[mask].min() * counts[mask].max())
            top = axes.get_xaxis_transform()
            axes.text(middle, 1.02, text, transform=top, ha='center', color='0.2', fontsize=9)
    if known.sum() <= 30:
        for k in np.flatnonzero(known):
            name = picture_text(_short(str(predictions.classes[k])))
            axes.annotate(
                name, (counts[k], 100 * accuracy[k]), (4, 3), textcoords='offset points', fontsize=7
            )
    axes.set_ylim(-2, 106)
    axes.set_xlim(counts.min() / 1.3, counts.max() * 1.8)
    axes.set_xlabel('training images of the class (logarithmic)')
    axes.set_ylabel('test accuracy of the class (%)')
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)
    _save(figure, path)


def _short(name: str) -> str:
    return name if len(name) <= 28 else f'{name[:27]}…'


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
