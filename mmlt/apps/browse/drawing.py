"""Pictures of what is fed: a batch, and the classes of an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..pictures import COLOURS, DARK, GREY, LIGHT, count_axis, name_ticks, picture, short
from .feed import Batch

__all__ = ['draw_batch', 'draw_classes', 'label_text']

SHOWN = 32  # images of a batch without mixing
ROWS = 6  # of mixed images
NAMES_UP_TO = 60
_LEAST = 0.005  # of a label that is worth a line


def label_text(scores: NDArray[np.float64], names: Sequence[object], most: int = 3) -> str:
    """The classes of a label, the largest first, such as ``cat: 70 %, dog: 30 %``.

    Example:
        >>> label_text(np.array([0.7, 0.0, 0.3]), ['cat', 'cow', 'dog'])
        'cat: 70 %, dog: 30 %'
        >>> label_text(np.array([0.0, 1.0, 0.0]), ['cat', 'cow', 'dog'])
        'cow'
    """
    order = [k for k in np.argsort(-scores, kind='stable') if scores[k] >= _LEAST]
    if len(order) == 1 and scores[order[0]] > 1 - _LEAST:
        return short(names[order[0]], 20)
    parts = [f'{short(names[k], 20)}: {100 * scores[k]:.0f} %' for k in order[:most]]
    return ', '.join([*parts, '…'] if len(order) > most else parts)


def draw_batch(path: Path, batch: Batch, names: Sequence[object], title: str) -> None:
    """Write a picture of a batch: each image with its label, its partner, and its other views."""
    if batch.mixed:
        _draw_mixed(path, batch, names, title)
    elif len(batch.views) > 1:
        _draw_views(path, batch, names, title)
    else:
        _draw_images(path, batch, names, title)


def _draw_images(path: Path, batch: Batch, names: Sequence[object], title: str) -> None:
    shown = min(SHOWN, len(batch.labels))
    columns = min(8, shown)
    rows = -(-shown // columns)
    with picture(path, 1.25 * columns, 1.5 * rows + 0.5) as figure:
        grid = np.atleast_1d(figure.subplots(rows, columns)).ravel()
        for place, axes in enumerate(grid):
            axes.set_axis_off()
            if place < shown:
                _show(axes, batch.views[0][place])
                axes.set_title(label_text(batch.scores[place], names), fontsize=8, pad=3)
        _entitle(figure, title, shown, len(batch.labels))


def _draw_views(path: Path, batch: Batch, names: Sequence[object], title: str) -> None:
    views, shown = len(batch.views), min(2 * ROWS, len(batch.labels))
    rows = -(-shown // 2)
    with picture(path, 2 * 1.25 * views + 0.6, 1.45 * rows + 0.7) as figure:
        blocks: Any = figure.subfigures(1, 2, wspace=0.04)
        for side, block in enumerate(blocks):
            grid = block.subplots(rows, views, squeeze=False)
            for row, line in enumerate(grid):
                place = row + side * rows
                for view, axes in enumerate(line):
                    axes.set_axis_off()
                    if place >= shown:
                        continue
                    _show(axes, batch.views[view][place])
                    label = label_text(batch.scores[place], names) if view == 0 else ''
                    axes.set_title(label or f'view {view + 1}', fontsize=8, pad=3)
        _entitle(figure, title, shown, len(batch.labels))


def _draw_mixed(path: Path, batch: Batch, names: Sequence[object], title: str) -> None:
    mixed = np.flatnonzero(batch.area < 1 - 1e-4)[:ROWS]
    heads = ['anchor', 'partner', 'what the model sees']
    heads += [f'view {view + 1}' for view in range(1, len(batch.views))]
    widths = [1.0] * len(heads) + [2.3]
    with picture(path, 1.35 * sum(widths), 1.4 * len(mixed) + 0.8) as figure:
        grid = figure.subplots(len(mixed), len(widths), squeeze=False, width_ratios=widths)
        for axes, head in zip(grid[0], [*heads, ''], strict=True):
            axes.set_title(head, fontsize=8, color=GREY, pad=4)
        for line, place in zip(grid, mixed, strict=True):
            images = [batch.anchors[place], batch.partners[place]]
            images += [view[place] for view in batch.views]
            for axes, image in zip(line, images, strict=False):
                axes.set_axis_off()
                _show(axes, image)
            _explain(line[-1], batch, int(place), names)
        _entitle(figure, title, len(mixed), len(batch.labels))


def _explain(axes: Axes, batch: Batch, place: int, names: Sequence[object]) -> None:
    """Shares of two images, and of their classes in the label."""
    axes.set_axis_off()
    area = batch.area[place]
    anchor, partner = batch.labels[place], batch.partner_labels[place]
    lines = [
        ('pixels', f'{short(names[anchor], 20)}: {100 * area:.0f} %, '
         f'{short(names[partner], 20)}: {100 * (1 - area):.0f} %', DARK),
        ('label', label_text(batch.scores[place], names), COLOURS[0]),
    ]  # fmt: skip
    if batch.rectified is not None:
        lines.append(('rectified', label_text(batch.rectified[place], names), COLOURS[4]))
    for row, (what, text, colour) in enumerate(lines):
        y = 0.75 - 0.27 * row
        axes.text(0, y, what, fontsize=7, color=GREY, transform=axes.transAxes)
        axes.text(0, y - 0.12, text, fontsize=8, color=colour, transform=axes.transAxes)


def _show(axes: Axes, image: NDArray[np.uint8]) -> None:
    small = max(image.shape[:2]) < 64
    axes.imshow(image, interpolation='nearest' if small else 'antialiased')


def _entitle(figure: Figure, title: str, shown: int, images: int) -> None:
    of_all = f'; {shown} of {images} images' if shown < images else f'; {images} images'
    figure.suptitle(title + of_all, fontsize=9, color=DARK, x=0.01, ha='left')


def draw_classes(
    path: Path,
    counts: NDArray[np.int64],
    fed: NDArray[np.float64],
    names: Sequence[object],
    title: str,
) -> None:
    """Write the images of each class in the data, and what an epoch feeds of each.

    Args:
        path: of the picture.
        counts: ``(K,)`` training images.
        fed: ``(K,)``, labels of an epoch, summed.
        names: of the ``K`` classes.
        title: of the picture.
    """
    order = np.argsort(-counts, kind='stable')
    place = np.arange(len(order))
    few = len(order) <= NAMES_UP_TO
    seen = np.concatenate([counts, fed])
    lowest = max(min(1.0, float(seen[seen > 0].min())), 0.1)
    with picture(path, 7.2, 4.2) as figure:
        axes = figure.subplots()
        heights = np.maximum(counts[order], lowest / 2)
        axes.bar(place, heights, width=0.8 if few else 1.0, color=LIGHT)
        axes.scatter(place, np.maximum(fed[order], lowest), s=26 if few else 5, zorder=3)
        count_axis(axes, 'y', lowest, float(seen.max()))
        if few:
            name_ticks(axes, 'x', [names[k] for k in order])
            axes.set_xlabel('class, most training images first')
        else:
            axes.set_xlabel('rank of the class, most training images first')
        axes.margins(x=0.01)
        axes.set_ylabel('images (logarithmic)')
        axes.annotate(
            'grey: training images', (1, 1), (0, -4), xycoords='axes fraction', ha='right',
            textcoords='offset points', va='top', fontsize=9, color=GREY,
        )  # fmt: skip
        axes.annotate(
            'blue: what an epoch feeds, labels summed', (1, 1), (0, -18), xycoords='axes fraction',
            ha='right', textcoords='offset points', va='top', fontsize=9, color=COLOURS[0],
        )  # fmt: skip
        axes.set_title(title, fontsize=9, color=DARK, loc='left')
