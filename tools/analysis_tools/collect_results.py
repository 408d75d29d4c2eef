"""Markdown table of the figures of many runs: mean and deviation over seeds, last and best epoch.

python tools/analysis_tools/collect_results.py work_dirs/digits_lt

Every folder below that matches ``<method>_seed<k>`` is a run. Its validation figures come from
the scalars that MMEngine logs; a run that was only tested counts with its last test.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

DEFAULT_PATTERN = r'(?P<method>.+)_seed(?P<seed>\d+)'
DEFAULT_METRICS = ('top1', 'many_shot', 'medium_shot', 'few_shot', 'worst_class')
Figures = dict[str, float]


@dataclass(frozen=True)
class Run:
    """One run: its figures at the last and at the best epoch, in per cent."""

    method: str
    seed: int
    epochs: int
    last: Figures
    best: Figures | None


def validation_series(folder: Path, prefix: str) -> dict[int, Figures]:
    """Validation figures by epoch: epoch -> name without prefix -> per cent.

    A run that was resumed has several logs; the newest wins where epochs overlap.
    """
    series: dict[int, Figures] = {}
    for path in sorted(folder.glob('*/vis_data/scalars.json')):
        for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                print(f'{path}:{number}: skipped, not a complete line of JSON', file=sys.stderr)
                continue
            figures = _with_prefix(entry, prefix) if isinstance(entry, dict) else {}
            if figures and 'step' in entry:
                series[int(entry['step'])] = figures
    return dict(sorted(series.items()))


def last_test(folder: Path, prefix: str) -> Figures:
    """Figures of the newest test of a run, ``<timestamp>/<timestamp>.json``; empty without one."""
    figures: Figures = {}
    for path in sorted(folder.glob('*/*.json')):
        if path.stem == path.parent.name:
            try:
                entry = json.loads(path.read_text(encoding='utf-8'))
            except ValueError as error:
                print(f'{path}: skipped, no JSON: {error}', file=sys.stderr)
                continue
            figures = _with_prefix(entry, prefix) or figures
    return figures


def read_run(folder: Path, method: str, seed: int, prefix: str, best_by: str) -> Run | None:
    """One run, or None for a folder without figures.

    ``best_by`` is the figure, without prefix, that chooses the best epoch; the first of equals.
    """
    series = validation_series(folder, prefix)
    if series:
        epochs = max(series)
        best = max(series.values(), key=lambda figures: figures.get(best_by, float('-inf')))
        return Run(method, seed, epochs, series[epochs], best)
    figures = last_test(folder, prefix)
    return Run(method, seed, 0, figures, None) if figures else None


def collect(
    work_dirs: Iterable[Path],
    pattern: str = DEFAULT_PATTERN,
    prefix: str = 'long_tail',
    best_by: str = 'top1',
) -> list[Run]:
    """All runs in some folders and below, in the order of method and seed.

    Args:
        work_dirs: folders to search.
        pattern: regular expression that a run's folder name matches as a whole, with groups
            ``method`` and ``seed``.
        prefix: prefix of the metric.
        best_by: figure that chooses the best epoch.

    Raises:
        ValueError: if ``pattern`` lacks a group or a folder does not exist.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ValueError(
            f'pattern: expected a regular expression, got {pattern!r}: {error}'
        ) from error
    if not {'method', 'seed'} <= set(expression.groupindex):
        raise ValueError(
            f'pattern: expected groups (?P<method>...) and (?P<seed>...), got {pattern!r}'
        )
    runs = []
    for root in map(Path, work_dirs):
        if not root.is_dir():
            raise ValueError(f'work_dirs: expected folders, got no such folder: {root}')
        for folder in sorted([root, *(path for path in root.rglob('*') if path.is_dir())]):
            match = expression.fullmatch(folder.name)
            if match is None:
                continue
            run = read_run(folder, match['method'], int(match['seed']), prefix, best_by)
            if run is None:
                print(f'{folder}: no figures with prefix {prefix}/', file=sys.stderr)
            else:
                runs.append(run)
    return sorted(runs, key=lambda run: (run.method, run.seed))


def to_markdown(runs: Sequence[Run], metrics: Sequence[str] = DEFAULT_METRICS) -> str:
    """One row per method, with the last and the best epoch of each figure, without prefix.

    A cell without a measurement stays empty.
    """
    head = ['method', 'seeds', 'epochs']
    head += [f'{metric} {when}' for metric in metrics for when in ('last', 'best')]
    rows = [head, ['---'] + ['---:'] * (len(head) - 1)]
    for method in dict.fromkeys(run.method for run in runs):
        mine = [run for run in runs if run.method == method]
        epochs = sorted({run.epochs for run in mine if run.epochs})
        row = [method, str(len(mine)), '-'.join(str(e) for e in (epochs[:1] + epochs[1:][-1:]))]
        for metric in metrics:
            for figures in ([run.last for run in mine], [run.best for run in mine if run.best]):
                row.append(summary([one[metric] for one in figures if metric in one]))
        rows.append(row)
    return '\n'.join(f'| {" | ".join(row)} |' for row in rows)


def summary(values: Sequence[float]) -> str:
    """``mean ± sample standard deviation``; only the value of a single run."""
    if not values:
        return ''
    mean = statistics.fmean(values)
    return f'{mean:.1f} ± {statistics.stdev(values):.1f}' if len(values) > 1 else f'{mean:.1f}'


def _with_prefix(entry: dict[str, object], prefix: str) -> Figures:
    return {
        name.removeprefix(f'{prefix}/'): float(value)
        for name, value in entry.items()
        if name.startswith(f'{prefix}/') and isinstance(value, (int, float))
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('work_dirs', nargs='+', type=Path, help='folders to search for runs')
    parser.add_argument(
        '--pattern',
        default=DEFAULT_PATTERN,
        help='of the folder name of a run, with groups method and seed',
    )
    parser.add_argument('--prefix', default='long_tail', help='prefix of the metric')
    parser.add_argument('--metrics', nargs='+', default=DEFAULT_METRICS)
    parser.add_argument('--best-by', default='top1', help='figure that chooses the best epoch')
    args = parser.parse_args(argv)
    try:
        runs = collect(args.work_dirs, args.pattern, args.prefix, args.best_by)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    if not runs:
        named = 'NAME_seed0' if args.pattern == DEFAULT_PATTERN else f'as --pattern {args.pattern}'
        parser.error(
            f'work_dirs: expected folders named {named} with logs of a validation, no run found in '
            f'{", ".join(map(str, args.work_dirs))}'
        )
    print(to_markdown(runs, args.metrics))


if __name__ == '__main__':
    main()
