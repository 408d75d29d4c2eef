"""The one style of all pictures: colours that everybody can tell apart, and names as they are.

A figure belongs to the picture that is drawn, and to no window or global state, so that a program
that calls the commands keeps its own settings of matplotlib.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager, rcsetup, ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmlt.checkpoints import written_whole

__all__ = [
    'COLOURS',
    'DARK',
    'GREY',
    'LIGHT',
    'count_axis',
    'label_dots',
    'mean_lines',
    'name_ticks',
    'picture',
    'short',
]

#: Okabe and Ito's palette, without black, which a dark page swallows.
COLOURS = ('#0072B2', '#E69F00', '#009E73', '#CC79A7', '#D55E00', '#56B4E9', '#F0E442')
DARK, GREY, LIGHT = '#333333', '#8C8C8C', '#DDDDDD'

_STYLE: Any = {
    'axes.prop_cycle': rcsetup.cycler(color=COLOURS),
    'axes.spines.right': False,
    'axes.spines.top': False,
    'axes.unicode_minus': False,
    'figure.constrained_layout.h_pad': 0.1,
    'figure.constrained_layout.w_pad': 0.1,
    'figure.dpi': 120,
    'font.size': 10,
    'image.cmap': 'Blues',
    'image.interpolation': 'nearest',
    'legend.frameon': False,
    'savefig.facecolor': 'white',
    'svg.fonttype': 'path',
    # Two dollars in the name of a class would begin maths, which fails or looks different.
    'text.parse_math': False,
    'text.usetex': False,
}
# For scripts that DejaVu lacks; those that are installed are tried in this order.
_FALLBACKS = (
    'Noto Sans CJK SC', 'Noto Sans CJK JP', 'Source Han Sans SC', 'WenQuanYi Zen Hei',
    'Droid Sans Fallback', 'Microsoft YaHei', 'SimHei', 'PingFang SC', 'Hiragino Sans', 'Yu Gothic',
    'Malgun Gothic', 'Apple SD Gothic Neo', 'Noto Sans Devanagari', 'Noto Sans Thai', 'Noto Sans',
    'Nirmala UI', 'Leelawadee UI', 'Arial Unicode MS',
)  # fmt: skip


@cache
def _fonts() -> list[str]:
    """DejaVu, and what is installed for other scripts: matplotlib warns of others."""
    installed = set(font_manager.get_font_names())
    return ['DejaVu Sans', *(name for name in _FALLBACKS if name in installed)]


@contextmanager
def picture(path: str | Path, width: float, height: float) -> Iterator[Figure]:
    """A figure to draw on, which is written when the block ends without an error.

    Args:
        path: of the file, which is replaced in one step; its suffix chooses the format.
        width: in inches of 120 pixels.
        height: in inches.

    Yields:
        The figure. What is drawn on it has to be drawn inside the block, where the style holds.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with picture(f'{folder}/dots.png', 3, 2) as figure:
        ...         _ = figure.subplots().scatter([1, 2], [3, 4])
        ...     (Path(folder) / 'dots.png').is_file()
        True
    """
    path = Path(path)
    style: Any = {**_STYLE, 'font.family': _fonts()}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(width, height), layout='constrained')
        yield figure
        path.parent.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings(), written_whole(path) as aside:
            # A box stands for a sign that no font has; one warning for each says no more.
            warnings.filterwarnings('ignore', message='Glyph')
            figure.savefig(aside, format=path.suffix[1:])


def short(name: object, length: int = 28) -> str:
    """A name in at most ``length`` signs, on one line.

    Example:
        >>> short('Golden-Delicious', 10)
        'Golden-De…'
    """
    text = ' '.join(str(name).split())
    return text if len(text) <= length else f'{text[: length - 1]}…'


def count_axis(axes: Axes, which: str, lowest: float, highest: float) -> None:
    """Make an axis logarithmic, with numbers such as 20 in place of powers of ten.

    Args:
        axes: changed in place.
        which: ``'x'`` or ``'y'``.
        lowest: smallest number that is shown, above 0.
        highest: largest number that is shown.
    """
    getattr(axes, f'set_{which}scale')('log')
    axis = getattr(axes, f'{which}axis')
    steps = (1, 2, 5) if highest < 300 * lowest else (1,)
    ticks = [step * 10.0**power for power in range(-3, 9) for step in steps]
    shown = [tick for tick in ticks if lowest / 1.01 <= tick <= highest * 1.01]
    axis.set_major_locator(ticker.FixedLocator(shown))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f'{value:,g}'))
    axis.set_minor_locator(ticker.NullLocator())
    margin = (highest / lowest) ** 0.04 * 1.05
    getattr(axes, f'set_{which}lim')(lowest / margin, highest * margin)


def name_ticks(axes: Axes, which: str, names: Sequence[object], length: int = 28) -> None:
    """Names of classes at 0, 1, ... of an axis; those below stand upright if they are long."""
    labels = [short(name, length) for name in names]
    upright = which == 'x' and max(map(len, labels), default=0) * len(labels) > 60
    size = 8 if len(labels) <= 40 else 6
    setter = getattr(axes, f'set_{which}ticks')
    setter(range(len(labels)), labels, rotation=90 if upright else 0, fontsize=size)
    axes.tick_params(axis=which, length=0)  # type: ignore[arg-type]


def mean_lines(axes: Axes, groups: Sequence[tuple[str, float, float, float]]) -> None:
    """A line for the mean of each group of classes, with its name and number above the axes.

    Args:
        axes: changed in place.
        groups: name, mean, and the smallest and largest ``x`` of the group.
    """
    ordered = sorted(groups, key=lambda group: group[2])
    for place, (name, mean, left, right) in enumerate(ordered):
        axes.hlines(mean, left, right, color=DARK, linewidth=1.2)
        above = (0, 4 + 11 * (place % 2))  # neighbours may be too narrow for one row
        axes.annotate(
            f'{name}: mean {mean:.0f}', (left, 1.0), above, xycoords=('data', 'axes fraction'),
            textcoords='offset points', color=DARK, fontsize=9,
        )  # fmt: skip


def label_dots(axes: Axes, x: Sequence[float], y: Sequence[float], names: Sequence[object]) -> None:
    """A name beside each dot, above or below where the next one would cover it.

    Args:
        axes: changed in place; its limits are set before.
        x: ``(N,)``.
        y: ``(N,)``.
        names: ``N`` names.
    """
    width, height = axes.get_figure().get_size_inches() * 72  # type: ignore[union-attr]
    dots = axes.transData.transform(np.column_stack([x, y]))
    inside = axes.transAxes.transform([[0, 0], [1, 1]])
    # In points; the axes take about five sixths of the figure.
    scale = np.array([width, height]) * 0.84 / (inside[1] - inside[0])
    points = (dots - inside[0]) * scale
    taken: list[tuple[float, float, float]] = []
    for place in np.lexsort((points[:, 0], points[:, 1])):
        text = short(names[place], 20)
        long = 4.6 * len(text)
        right = points[place, 0] + 4 + long < width * 0.86
        left = points[place, 0] + (4 if right else -4 - long)
        rise = next(
            (
                rise
                for rise in (3, -9, 11, -17, 19, -25, 27)
                if points[place, 1] + rise + 6 < (inside[1] - inside[0])[1] * scale[1]
                and not any(
                    abs(points[place, 1] + rise - low) < 8 and start < left + long and left < end
                    for start, end, low in taken
                )
            ),
            None,
        )
        if rise is None:
            continue  # of a heap, some names
        taken.append((left, left + long, points[place, 1] + rise))
        axes.annotate(
            text, (x[place], y[place]), (4 if right else -4, rise), textcoords='offset points',
            fontsize=7, color=DARK, ha='left' if right else 'right',
        )  # fmt: skip
