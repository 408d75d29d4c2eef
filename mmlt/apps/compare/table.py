"""The answer of a comparison: figures over seeds, paired differences, and what is noise."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmlt.checkpoints import write_text_whole
from mmlt.evaluation.names import write_csv
from mmlt.functional.metrics.uncertainty import t_interval

from ..evaluate.results import COLUMNS
from ..text import aligned, plain
from .budget import text_of

__all__ = ['Cell', 'Comparison', 'save_tables', 'to_markdown', 'to_text']

FIGURES = {k: v for k, v in COLUMNS.items() if k not in ('class_mean', 'macro_f1')}
EPOCHS = {'last': 'last epoch', 'best': 'epoch chosen on validation'}
# Of which it is said what is within noise of the best.
DECISIVE = ('top1', 'few_shot', 'worst_class')
States = Mapping[str, Mapping[int, Mapping[str, Any]]]


@dataclass(frozen=True)
class Cell:
    """A figure of a method over seeds, in per cent, and its difference from another method.

    Args:
        values: of each seed.
        difference: mean over the seeds that both have; ``nan`` without any.
        half: half of its 95 % interval; ``nan`` below two seeds.
    """

    values: Mapping[int, float]
    difference: float = math.nan
    half: float = math.nan

    @property
    def mean(self) -> float:
        """Over seeds; ``nan`` without any."""
        return statistics.fmean(self.values.values()) if self.values else math.nan

    @property
    def deviation(self) -> float:
        """Of the sample; ``nan`` below two seeds."""
        return statistics.stdev(self.values.values()) if len(self.values) > 1 else math.nan


class Comparison:
    """What finished runs are worth.

    Args:
        states: label -> seed -> ``run.json`` of a finished run; the first label is the baseline.
    """

    def __init__(self, states: States) -> None:
        self.states = {label: runs for label, runs in states.items() if runs}
        self.baseline = next(iter(states), '')

    def labels(self, when: str) -> list[str]:
        """Methods that have figures of the last or the best epoch."""
        return [
            label
            for label, runs in self.states.items()
            if any(run['results'].get(when) for run in runs.values())
        ]

    def values(self, label: str, when: str, figure: str) -> dict[int, float]:
        """Seed -> per cent."""
        runs = self.states.get(label, {})
        found = {seed: (run['results'].get(when) or {}).get(figure) for seed, run in runs.items()}
        return {seed: value for seed, value in found.items() if value is not None}

    def cell(self, label: str, when: str, figure: str, other: str | None = None) -> Cell:
        """One figure; ``other`` is the method that it is compared with, not the baseline."""
        values = self.values(label, when, figure)
        base = self.values(other or self.baseline, when, figure)
        pairs = [values[seed] - base[seed] for seed in values if seed in base]
        if label == (other or self.baseline) or not pairs:
            return Cell(values)
        low, high = t_interval(pairs)
        return Cell(values, statistics.fmean(pairs), (high - low) / 2)

    def figures(self, when: str) -> list[str]:
        """Those that some run has: a data set may lack a shot group."""
        labels = self.labels(when)
        return [name for name in FIGURES if any(self.values(x, when, name) for x in labels)]

    def seeds(self) -> int:
        """The most that a method has."""
        return max((len(runs) for runs in self.states.values()), default=0)

    def epochs(self, when: str, label: str) -> str:
        """As ``40``, or ``12-30`` where seeds differ."""
        name = 'epochs' if when == 'last' else 'best_epoch'
        known = sorted({run[name] for run in self.states[label].values() if run.get(name)})
        return '-'.join(str(epoch) for epoch in [*known[:1], *known[1:][-1:]])

    def tables(self) -> Iterator[tuple[str, list[list[str]]]]:
        """Title and rows, the heading first, of each table."""
        spread = ', mean±deviation over seeds' if self.seeds() > 1 else ''
        for when, title in EPOCHS.items():
            labels, figures = self.labels(when), self.figures(when)
            if not labels:
                continue
            names = [FIGURES[name] for name in figures]
            rows = [['method', *names, 'epoch', 'seeds', 'time']]
            for label in labels:
                runs = self.states[label]
                cells = [_mean(self.cell(label, when, name)) for name in figures]
                mean = statistics.fmean(run.get('seconds', 0.0) for run in runs.values())
                rows.append(
                    [label, *cells, self.epochs(when, label), str(len(runs)), text_of(mean)]
                )
            yield f'{title[0].upper()}{title[1:]}, test images, per cent{spread}', rows
            others = [label for label in labels if label != self.baseline]
            if others and self.baseline in labels:
                half = ', ± half of its 95 % interval' if self.seeds() > 1 else ''
                rows = [['method', *names]]
                for label in others:
                    cells = [_difference(self.cell(label, when, name)) for name in figures]
                    rows.append([label, *cells])
                yield f'Difference to {self.baseline}, paired by seed{half}', rows

    def sentences(self) -> list[str]:
        """What is within noise of the best, and what the tables lack."""
        said = []
        if len(self.states) > 1:
            if self.seeds() < 2:
                said.append('One seed has no interval: small differences may be noise (--seeds 3).')
            else:
                for name in DECISIVE:
                    if name in self.figures('last'):
                        said.append(self._best_of(name))
        reasons = {run['no_best'] for runs in self.states.values() for run in runs.values()}
        said += [
            f'No epoch is chosen on validation: {reason}.' for reason in sorted(reasons - {None})
        ]
        return said

    def _best_of(self, figure: str) -> str:
        """What 95 % intervals of paired differences do not tell from the best."""
        labels = [x for x in self.labels('last') if self.values(x, 'last', figure)]
        best = max(labels, key=lambda label: self.cell(label, 'last', figure).mean)
        near = []
        for label in (label for label in labels if label != best):
            cell = self.cell(label, 'last', figure, other=best)
            if math.isnan(cell.half) or cell.difference + cell.half >= 0:
                near.append(f'{label} ({_difference(cell)})')
        mean = self.cell(best, 'last', figure).mean
        if all(self.cell(label, 'last', figure).mean == mean for label in labels):
            return f'{FIGURES[figure]}: {mean:.1f} for every method.'
        start = f'{FIGURES[figure]}: best is {best} ({mean:.1f})'
        if not near:
            return f'{start}, beyond the noise of seeds.'
        return f'{start}; within noise of it: {", ".join(near)}.'


def _mean(cell: Cell) -> str:
    if not cell.values:
        return ''
    spread = '' if math.isnan(cell.deviation) else f'±{cell.deviation:.1f}'
    return f'{cell.mean:.1f}{spread}'


def _difference(cell: Cell) -> str:
    if math.isnan(cell.difference):
        return ''
    half = '' if math.isnan(cell.half) else f'±{cell.half:.1f}'
    return f'{cell.difference:+.1f}{half}'


def to_text(comparison: Comparison) -> str:
    """For a terminal."""
    parts = [f'{title}:\n\n{aligned(rows)}' for title, rows in comparison.tables()]
    return '\n\n'.join([*parts, '\n'.join(comparison.sentences())]).rstrip()


def to_markdown(comparison: Comparison) -> str:
    """For a page or an issue."""
    parts = []
    for title, (head, *rows) in comparison.tables():
        lines = [head, ['---', *['---:'] * (len(head) - 1)], *rows]
        cells = [' | '.join(cell.replace('|', '\\|') for cell in row) for row in lines]
        parts.append('\n'.join([f'{title}:', '', *(f'| {row} |' for row in cells)]))
    return '\n\n'.join([*parts, '\n'.join(f'- {text}' for text in comparison.sentences())])


def save_tables(home: Path, comparison: Comparison, about: Mapping[str, Any]) -> None:
    """Write ``table.txt``, ``table.md``, ``table.csv`` and ``table.json``.

    Args:
        home: folder of the runs.
        comparison: of those that are finished.
        about: what else belongs into the JSON.
    """
    write_text_whole(to_text(comparison) + '\n', home / 'table.txt')
    write_text_whole(to_markdown(comparison).rstrip() + '\n', home / 'table.md')
    rows = list(_rows(comparison))
    header = list(rows[0]) if rows else ['epoch']
    write_csv(
        home / 'table.csv',
        header,
        (['' if value is None else str(value) for value in row.values()] for row in rows),
    )
    runs = [
        {key: value for key, value in run.items() if key != 'settings'}
        for runs in comparison.states.values()
        for run in runs.values()
    ]
    known = dict(baseline=comparison.baseline, **about, summary=rows, runs=runs)
    text = json.dumps(known, indent=1, ensure_ascii=False, allow_nan=False)
    write_text_whole(text + '\n', home / 'table.json')


def _rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """A row for each figure of each method."""
    for when in EPOCHS:
        for label in comparison.labels(when):
            for name in comparison.figures(when):
                cell = comparison.cell(label, when, name)
                if cell.values:
                    yield dict(
                        epoch=when,
                        method=label,
                        figure=name,
                        seeds=len(cell.values),
                        mean=plain(cell.mean),
                        deviation=plain(cell.deviation),
                        difference=plain(cell.difference),
                        low=plain(cell.difference - cell.half),
                        high=plain(cell.difference + cell.half),
                    )
