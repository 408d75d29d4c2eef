"""Picture of per-class accuracy against class frequency, from tables of LongTailMetric.

python tools/analysis_tools/per_class_report.py CE=ce_seed0.csv,ce_seed1.csv LA=la.csv --out a.png
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from flags import integer

from mmlt.evaluation.names import picture_text
from mmlt.evaluation.per_class_table import PerClassRow, read_per_class_csv
from mmlt.functional.checks import check_integer, refuse

matplotlib.use('Agg')
from matplotlib import pyplot as plt

COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000')
LINES = ('-', '--', '-.', ':')
MARKED_CLASSES = 60


def load_tables(paths: Sequence[Path]) -> tuple[list[PerClassRow], NDArray[np.float64]]:
    """The first of one method's tables, and accuracies ``(seeds, K)`` in per cent of all.

    Raises ``ValueError`` if there is none, the classes disagree or training counts are unknown.
    """
    if not paths:
        raise ValueError('expected at least one table for each method')
    tables = [read_per_class_csv(path) for path in paths]
    known = [(row.class_id, row.train_count) for row in tables[0]]
    for path, table in zip(paths, tables, strict=True):
        if any(row.train_count is None for row in table):
            raise ValueError(
                f'{path}: expected training counts, got none; evaluate with '
                "default_hooks = dict(long_tail=dict(type='LongTailHook'))"
            )
        if [(row.class_id, row.train_count) for row in table] != known:
            raise ValueError(f'{path}: other classes or training counts than {paths[0]}')
    accuracies = [
        [np.nan if row.accuracy is None else row.accuracy for row in table] for table in tables
    ]
    return tables[0], np.array(accuracies)


def running_mean(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Mean over a window of classes along the last axis, shorter at both ends, past ``nan``."""
    known = ~np.isnan(values)
    kernel = np.ones(width)

    def smooth(row: NDArray[np.float64]) -> NDArray[np.float64]:
        full = np.convolve(row, kernel)
        start = (width - 1) // 2
        return full[start : start + len(row)]

    total = np.apply_along_axis(smooth, -1, np.where(known, values, 0.0))
    weight = np.apply_along_axis(smooth, -1, known.astype(float))
    return np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 0.5)


def plot_per_class(
    csv_by_method: Mapping[str, Sequence[Path]], out: Path, smooth: int | None = None
) -> None:
    """Draw one line per method, the mean over seeds with a band of one standard deviation.

    Args:
        csv_by_method: name of a method -> its tables, one per seed.
        out: picture to write; its suffix chooses the format.
        smooth: running mean over this many classes of similar frequency; by default none up to
            60 classes, a thirtieth of the classes beyond.
    """
    if not csv_by_method:
        raise ValueError('csv_by_method: expected at least one method, got none')
    if smooth is not None:
        check_integer('smooth', smooth, '[1, inf)')
    formats = tuple(plt.gcf().canvas.get_supported_filetypes())
    plt.close()
    if Path(out).suffix[1:] not in formats:
        raise refuse('out', f'a picture (.{" .".join(formats)})', str(out))
    loaded = {
        name: load_tables([Path(path) for path in paths]) for name, paths in csv_by_method.items()
    }
    counts_of = {name: tuple(row.train_count for row in rows) for name, (rows, _) in loaded.items()}
    if len(set(counts_of.values())) > 1:
        raise ValueError(
            f'the methods {", ".join(loaded)} have been trained on different class '
            'counts and do not belong into one picture'
        )
    rows = next(iter(loaded.values()))[0]
    counts = np.array([row.train_count for row in rows])
    order = np.argsort(-counts, kind='stable')
    width = smooth or (1 if len(counts) <= MARKED_CLASSES else len(counts) // 30)
    place = np.arange(len(counts))

    figure, axes = plt.subplots(figsize=(7.2, 4.2), dpi=120)
    frequency = axes.twinx()
    frequency.fill_between(
        np.append(place, len(place)) - 0.5,
        np.append(counts[order], counts[order][-1]),
        step='post',
        color='0.88',
        linewidth=0,
    )
    frequency.set_yscale('log')
    frequency.set_ylim(bottom=max(counts.min(), 1) / 2)
    frequency.set_ylabel('training images (grey)')
    axes.set_zorder(frequency.get_zorder() + 1)
    axes.patch.set_visible(False)
    for index, (name, (_, accuracies)) in enumerate(loaded.items()):
        lines = running_mean(accuracies[:, order], width)
        mean = lines.mean(axis=0)
        colour = COLOURS[index % len(COLOURS)]
        axes.plot(
            place,
            mean,
            color=colour,
            label=picture_text(name),
            linestyle=LINES[index // len(COLOURS) % len(LINES)],
            marker='o' if len(counts) <= MARKED_CLASSES else None,
            markersize=4,
        )
        if len(lines) > 1:
            spread = lines.std(axis=0, ddof=1)
            axes.fill_between(
                place, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0
            )
    axes.set_ylim(0, 102)
    axes.set_xlabel(_class_axis(rows, order, axes))
    axes.set_ylabel('test accuracy of the class (%)')
    axes.legend(
        frameon=False,
        loc='lower left',
        bbox_to_anchor=(0.0, 1.0),
        borderaxespad=0.2,
        ncols=min(len(loaded), 4),
    )
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(out)
    plt.close(figure)


def _class_axis(rows: Sequence[PerClassRow], order: NDArray[np.int64], axes: plt.Axes) -> str:
    """Name the ticks where there is room; returns the label of the axis."""
    if len(rows) <= 20:
        names = [picture_text(rows[k].name or str(rows[k].class_id)) for k in order]
        axes.set_xticks(range(len(rows)), names)
        if max(len(name) for name in names) > 5:
            axes.tick_params(axis='x', rotation=45)
        return 'class, most training images first'
    return 'rank of the class, most training images first'


def parse_method(text: str) -> tuple[str, list[Path]]:
    """``NAME=FILE,FILE`` -> name and files; without a name that of the first file."""
    name, separator, files = text.partition('=')
    if not separator:
        name, files = Path(text.split(',')[0]).stem, text
    return name, [Path(file) for file in files.split(',') if file]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        'methods', nargs='+', metavar='NAME=CSV[,CSV...]', help='tables of one method, one per seed'
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('per_class_accuracy.png'),
        help='picture to write (.png, .svg, .pdf)',
    )
    parser.add_argument('--smooth', type=integer(1), help='running mean over this many classes')
    args = parser.parse_args(argv)
    methods = [parse_method(text) for text in args.methods]
    names = [name for name, _ in methods]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        parser.error(f'methods: expected different names (NAME=CSV), got {twice!r} twice')
    try:
        plot_per_class(dict(methods), args.out, args.smooth)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(args.out)


if __name__ == '__main__':
    main()
