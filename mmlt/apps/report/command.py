"""The command: arguments, runs, page, files beside it."""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmlt.evaluation.names import write_csv

from ..command_line import end_of, parser_of
from ..evaluate.pictures import confusion_shares, draw_accuracy, draw_confusion
from .runs import Run, load_runs

__all__ = ['main', 'write_report']

DESCRIPTION = """One HTML file that shows what runs are worth, class by class; it needs no network.

A run is the work directory of a training (it is evaluated first where it was not), a folder that
mmlt evaluate has written, or predictions.npz. The first one is the baseline. Pictures, CSV and JSON
of the same figures stand beside the file, in a folder."""
EXAMPLE = """example:
  mmlt report work_dirs/resnet50_ce LA=work_dirs/resnet50_logit_adjustment --out report.html"""


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; ends the process with status 2 if it is wrong."""
    parser = parser_of('report', DESCRIPTION, EXAMPLE)
    add = parser.add_argument
    add('runs', nargs='+', metavar='RUN', help='folder or predictions.npz, also as NAME=PATH')
    add(
        '--out', type=Path, default=Path('report.html'), metavar='FILE', help='default: report.html'
    )
    add('--title', help='of the page')
    add(
        '--thresholds',
        type=int,
        nargs=2,
        metavar=('MANY', 'FEW'),
        help='training images above which a class is many-shot, and below which it is few-shot '
        '(default: those of the evaluation of the first run)',
    )
    add('--force', action='store_true', help='replace an earlier report')
    args = parser.parse_args(arguments)
    if args.out.suffix not in ('.html', '.htm'):
        parser.error(f'--out: expected a file .html, got {str(args.out)!r}')
    if args.thresholds and not 0 <= args.thresholds[1] <= args.thresholds[0] + 1:
        parser.error(f'--thresholds: expected FEW of at most MANY + 1, got {args.thresholds}')
    return args


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a report.

    Args:
        arguments: of the command line by default.

    Returns:
        0, or 2 if a run or an argument is wrong.
    """
    args = parse_args(arguments)
    return end_of('report', lambda: _report(args))


def _report(args: argparse.Namespace) -> None:
    for package in ('plotly', 'jinja2'):
        if importlib.util.find_spec(package) is None:
            raise ValueError(
                f"{package}: expected it to be installed, got none; pip install 'mmlt[report]'"
            )
    if args.out.exists() and not args.force:
        raise ValueError(f'--out: expected a new file, got {args.out}; --force replaces it')
    runs = load_runs(args.runs, tuple(args.thresholds) if args.thresholds else None)
    beside = write_report(args.out, runs, args.title)
    print(f'{args.out}: {len(runs)} runs; pictures and tables in {beside}')


def write_report(out: Path, runs: Sequence[Run], title: str | None = None) -> Path:
    """Write the page, and its pictures and tables beside it.

    Args:
        out: the HTML file; replaced.
        runs: from :func:`~mmlt.apps.report.runs.load_runs`.
        title: of the page; by default the names of the runs.

    Returns:
        The folder of pictures and tables.
    """
    import jinja2
    from plotly.offline import get_plotlyjs

    from .content import describe

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader('mmlt.apps.report', '.'), autoescape=True
    )
    names = [run.name for run in runs]
    shown = ', '.join(names) if len(names) <= 4 else f'{names[0]} and {len(names) - 1} other runs'
    known = describe(runs, title or f'Report: {shown}')
    text = environment.get_template('page.html').render(**known, plotly=get_plotlyjs())
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f'{out.name}.partial')
    partial.write_text(text, encoding='utf-8', errors='replace')
    partial.replace(out)
    beside = out.with_name(f'{out.stem}_files')
    _write_files(beside, runs)
    return beside


def _write_files(folder: Path, runs: Sequence[Run]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    first = runs[0]
    counts = first.predictions.class_counts
    header = ['class_id', 'name', 'train_count', *(f'accuracy {run.name}' for run in runs)]
    accuracies = [100 * run.judged.tallies.accuracy for run in runs]
    write_csv(
        folder / 'per_class.csv',
        header,
        (
            [
                str(k),
                str(name),
                '' if counts is None else str(counts[k]),
                *('' if part[k] != part[k] else f'{part[k]:.4f}' for part in accuracies),
            ]
            for k, name in enumerate(first.predictions.classes)
        ),
    )
    figures: dict[str, Any] = {
        run.name: dict(
            figures={
                name: None if value != value else round(value, 4)
                for name, value in run.judged.figures.items()
            },
            intervals=run.judged.intervals,
        )
        for run in runs
    }
    text = json.dumps(figures, indent=2, ensure_ascii=False)
    (folder / 'figures.json').write_text(text + '\n', encoding='utf-8')
    for index, run in enumerate(runs):
        name = f'{index}_{re.sub(r"[^A-Za-z0-9_.-]+", "_", run.name)[:60]}'
        draw_accuracy(
            folder / f'accuracy_{name}.png', run.predictions, run.judged, first.thresholds
        )
        draw_confusion(
            folder / f'confusion_{name}.png', *confusion_shares(run.predictions, run.judged)
        )
