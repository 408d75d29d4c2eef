"""Studies as docs/results/logs/book.yml lists them, with the figures of their logs."""

from __future__ import annotations

import json
import runpy
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

__all__ = ['LOGS', 'ROOT', 'Book', 'Method', 'Study', 'read_book']

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / 'docs' / 'results' / 'logs'
LIST = LOGS / 'book.yml'
PREFIX = 'long_tail/'
Figures = dict[str, float]


@dataclass(frozen=True)
class Method:
    """The runs of one method in one study.

    Args:
        about: command, commit and published figures, as the list has them.
        last: seed -> name of a figure -> per cent at the last epoch.
        course: seed -> epoch -> top-1 in per cent, of each epoch that was evaluated on the test
            images; empty where the log has the last one only.
        reached: seed -> epoch of runs that are not finished, of which there are no figures.
    """

    about: Mapping[str, Any]
    last: Mapping[int, Figures]
    course: Mapping[int, Mapping[int, float]] = field(default_factory=dict)
    reached: Mapping[int, int] = field(default_factory=dict)

    def values(self, figure: str) -> dict[int, float]:
        """Seed -> figure of the last epoch."""
        return {seed: found[figure] for seed, found in self.last.items() if figure in found}

    def cell(self, figure: str, spread: str = 'deviation') -> str:
        """Mean over seeds, alone, with the sample's deviation, or half of the 95 % interval."""
        values = list(self.values(figure).values())
        if not values:
            return ''
        mean = f'{statistics.fmean(values):.1f}'
        if len(values) < 2 or spread == 'none':
            return mean
        half = statistics.stdev(values)
        if spread == 'interval':
            from scipy import stats  # here, since it takes a second to import

            half *= float(stats.t.ppf(0.975, len(values) - 1)) / len(values) ** 0.5
        return f'{mean} ± {half:.1f}'

    def minus(self, other: Method, figure: str) -> str:
        """Mean of self minus ``other`` over common seeds, if any, and its standard error."""
        first, second = self.values(figure), other.values(figure)
        gaps = [first[seed] - second[seed] for seed in first if seed in second]
        if not gaps:
            return ''
        mean = f'{statistics.fmean(gaps):+.1f}'
        if float(mean) == 0:
            mean = '0.0'
        if len(gaps) < 2:
            return mean
        return f'{mean} ± {statistics.stdev(gaps) / len(gaps) ** 0.5:.1f}'

    def seeds(self) -> str:
        """As ``1 (0)``, ``8 (0 to 7)`` or, with gaps, ``2 (0, 2)``."""
        seeds = sorted(self.last)
        named = ', '.join(map(str, seeds))
        if len(seeds) > 1 and seeds == list(range(seeds[0], seeds[-1] + 1)):
            named = f'{seeds[0]} to {seeds[-1]}'
        return f'{len(seeds)} ({named})'

    def evaluations(self) -> dict[int, float]:
        """Epoch -> top-1, mean over seeds, of the epochs that all seeds were evaluated at."""
        first, *others = list(self.course.values()) or [{}]
        return {
            epoch: statistics.fmean([top, *(run[epoch] for run in others)])
            for epoch, top in first.items()
            if all(epoch in run for run in others)
        }

    def best(self) -> str:
        """The best evaluated epoch of each seed, mean over seeds, with its number; or nothing."""
        if not self.course:
            return ''
        tops = [max((top, epoch) for epoch, top in run.items()) for run in self.course.values()]
        epochs = sorted({epoch for _, epoch in tops})
        mean = statistics.fmean(top for top, _ in tops)
        return f'{mean:.1f} ({", ".join(map(str, epochs))})'


@dataclass(frozen=True)
class Study:
    """Methods on the same data with the same network, hardware and schedule."""

    name: str
    about: Mapping[str, Any]

    @cached_property
    def methods(self) -> dict[str, Method]:
        """Label -> its runs."""
        if 'log' not in self.about:
            return {
                label: _of_scalars({**self.about, **one})
                for label, one in self.about['runs'].items()
            }
        runs = _of_one_file(LOGS / self.about['log'])
        labels: Sequence[str] = list(runs)
        if 'order' in self.about:
            labels = list(runpy.run_path(str(ROOT / self.about['order']))['study'])
            if sorted(labels) != sorted(runs):
                odd = sorted({*labels} ^ {*runs})
                raise ValueError(
                    f'{self.about["log"]}: expected the labels of the study, got {odd}'
                )
        return {label: Method(self.about, runs[label]) for label in labels}


@dataclass(frozen=True)
class Book:
    """All studies, what the tables of the pages are, and the methods that several studies have."""

    studies: Mapping[str, Study]
    tables: Mapping[str, Mapping[str, Any]]
    across: Mapping[str, Mapping[str, tuple[str, str]]] = field(default_factory=dict)

    def method(self, name: str | None, data: str) -> Method | None:
        """What the list has under ``name`` in ``across`` for this data, if anything."""
        study, label = self.across[name].get(data, (None, None)) if name else (None, None)
        return self.studies[study].methods[label] if study and label else None


def read_book() -> Book:
    """The list; logs are read when their figures are asked for."""
    known = yaml.safe_load(LIST.read_text(encoding='utf-8'))
    studies = {name: Study(name, about) for name, about in known['studies'].items()}
    return Book(studies, known['tables'], known['across'])


def _of_one_file(path: Path) -> dict[str, dict[int, Figures]]:
    """Label -> seed -> figures: of ``mmlt compare``, of its forerunner or of the head study."""
    known = json.loads(path.read_text(encoding='utf-8'))
    runs: dict[str, dict[int, Figures]] = {}
    if isinstance(known, list):
        for run in known:
            figures = {key.removeprefix(PREFIX): run[key] for key in run if key.startswith(PREFIX)}
            runs.setdefault(run['label'], {})[run['seed']] = figures
    elif 'runs' in known:  # table.json
        for run in known['runs']:
            figures = dict(run['results']['last'])
            if 'seconds' in run:
                figures['seconds'] = run['seconds']
            runs.setdefault(run['method'], {})[run['seed']] = figures
    else:
        runs = {label: dict(enumerate(seeds)) for label, seeds in known.items()}
    return runs


def _of_scalars(about: Mapping[str, Any]) -> Method:
    """From ``scalars.json`` of MMEngine, a file for each seed."""
    epochs = about['epochs']
    last, course, reached = {}, {}, {}
    start = LOGS / about['log']
    for path in sorted(start.parent.glob(f'{start.name}_seed[0-9]*.json')):
        lines = [json.loads(line) for line in path.read_text(encoding='utf-8').splitlines()]
        seed = int(path.stem.rsplit('_seed', 1)[1])
        evaluated = {line['step']: line for line in lines if f'{PREFIX}top1' in line}
        if max(evaluated, default=0) > epochs:
            raise ValueError(f'{path.name}: expected {epochs} epochs, got {max(evaluated)}')
        if epochs not in evaluated:
            reached[seed] = max((line['epoch'] for line in lines if 'epoch' in line), default=0)
            continue
        end = evaluated[epochs]
        last[seed] = {key.removeprefix(PREFIX): end[key] for key in end if key.startswith(PREFIX)}
        course[seed] = {epoch: line[f'{PREFIX}top1'] for epoch, line in evaluated.items()}
    if not last and not reached:
        raise ValueError(f'{start.name}: expected logs {start.name}_seed0.json, ..., got none')
    return Method(about, last, course, reached)
