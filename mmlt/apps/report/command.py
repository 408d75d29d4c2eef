"""The command: arguments, runs, page, files beside it."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from mmlt.checkpoints import write_text_whole

from ..command_line import add_thresholds, command_of, parser_of
from .files import write_files
from .runs import Run, load_runs

__all__ = ['main', 'write_report']

DESCRIPTION = """One HTML file that shows what runs are worth, class by class; it needs no network.

A run is the work directory of a training (it is evaluated first where it was not), a folder that
mmlt evaluate has written, or predictions.npz. Folders seed_0, seed_1, ... of one folder are one
entry, with mean and deviation; a project is all of its runs. The first entry is the baseline.
Pictures, CSV and JSON of the same figures stand beside the file, in a folder."""
EXAMPLE = """examples:
  mmlt report PROJECT
  mmlt report PROJECT/runs/ce PROJECT/runs/la_car --out two.html
  mmlt report work_dirs/resnet50_ce LA=work_dirs/resnet50_logit_adjustment --out report.html"""


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; ends the process with status 2 if it is wrong."""
    parser = parser_of('report', DESCRIPTION, EXAMPLE)
    add = parser.add_argument
    add(
        'runs',
        nargs='+',
        metavar='RUN',
        help='project, folder or predictions.npz, also as NAME=PATH',
    )
    add(
        '--out', type=Path, default=Path('report.html'), metavar='FILE', help='default: report.html'
    )
    add('--title', help='of the page')
    add_thresholds(parser, 'those of the evaluation of the first run')
    add('--force', action='store_true', help='replace an earlier report')
    args = parser.parse_args(arguments)
    if args.out.suffix not in ('.html', '.htm'):
        parser.error(f'--out: expected a file .html, got {str(args.out)!r}')
    return args


def _report(args: argparse.Namespace) -> None:
    for package in ('plotly', 'jinja2'):
        if importlib.util.find_spec(package) is None:
            raise ValueError(
                f"{package}: expected it to be installed, got none; pip install 'mmlt[report]'"
            )
    if args.out.exists() and not args.force:
        raise ValueError(f'--out: expected a new file, got {args.out}; --force replaces it')
    runs = load_runs(args.runs, args.thresholds)
    beside = write_report(args.out, runs, args.title)
    number = f'{len(runs)} entries' if len(runs) > 1 else '1 entry'
    print(f'{args.out}: {number}; pictures and tables in {beside}')


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
    write_text_whole(text, out, errors='replace')
    beside = out.with_name(f'{out.stem}_files')
    write_files(beside, runs, known['tables'])
    return beside


main = command_of('report', parse_args, _report)
