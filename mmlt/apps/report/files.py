"""Pictures and tables beside the page."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmlt.checkpoints import write_text_whole
from mmlt.evaluation.names import write_csv
from mmlt.functional.metrics.uncertainty import wilson_interval

from ..evaluate.pictures import confusion_shares, draw_accuracy, draw_confusion
from ..text import plain
from .differences import differences
from .runs import Run
from .suspects import Double, Suspect

__all__ = ['write_files']


def write_files(folder: Path, runs: Sequence[Run], doubtful: dict[str, Any]) -> None:
    """Write what the page shows as PNG, CSV and JSON.

    Args:
        folder: made if it is missing; its pictures are replaced.
        runs: of the page.
        doubtful: ``suspects`` and ``doubles``, and the ``names`` of the classes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_classes(folder / 'per_class.csv', runs)
    text = json.dumps(
        {run.name: _figures(runs[0], run) for run in runs}, indent=2, ensure_ascii=False
    )
    write_text_whole(text + '\n', folder / 'figures.json')
    _write_suspects(folder / 'suspicious_labels.csv', doubtful['suspects'], doubtful['names'])
    _write_doubles(folder / 'near_duplicates.csv', doubtful['doubles'], doubtful['names'])
    for kind in ('accuracy', 'confusion'):  # of an earlier report, which may have had other runs
        for old in folder.glob(f'{kind}_[0-9]*_*.png'):
            old.unlink()
    for index, run in enumerate(runs):
        name = f'{index}_{re.sub(r"[^A-Za-z0-9_.-]+", "_", run.name)[:60]}'
        draw_accuracy(
            folder / f'accuracy_{name}.png', run.predictions, run.judged, runs[0].thresholds
        )
        draw_confusion(
            folder / f'confusion_{name}.png', *confusion_shares(run.predictions, run.judged)
        )


def _write_classes(path: Path, runs: Sequence[Run]) -> None:
    """A row for each class; accuracy of each run and the ends of its interval, in per cent."""
    first = runs[0].predictions
    header, columns = ['class_id', 'name', 'train_count', 'test_count'], []
    for run in runs:
        tallies = run.judged.tallies
        header += [f'{what} {run.name}' for what in ('accuracy', 'low', 'high')]
        columns += [tallies.accuracy, *wilson_interval(tallies.correct, tallies.targets)]
    counts, tested = first.class_counts, runs[0].judged.tallies.targets
    write_csv(
        path,
        header,
        (
            [
                str(k),
                str(name),
                '' if counts is None else str(counts[k]),
                str(tested[k]),
                *('' if math.isnan(part[k]) else f'{100 * part[k]:.4f}' for part in columns),
            ]
            for k, name in enumerate(first.classes)
        ),
    )


def _figures(base: Run, run: Run) -> dict[str, Any]:
    seeds = list(run.seeds.values())
    known: dict[str, Any] = dict(figures=plain(run.judged.figures))
    known['intervals'] = {name: plain(ends) for name, ends in run.judged.intervals.items()}
    known['seeds'] = list(run.seeds)
    if len(seeds) > 1:
        values = {name: [one.figures[name] for one in seeds] for name in run.judged.figures}
        known['deviations'] = plain(
            {name: float(np.std(row, ddof=1)) for name, row in values.items()}
        )
    if run is not base:
        known['differences'] = {
            name: dict(
                points=plain(change.points),
                interval=None if change.interval is None else plain(change.interval),
            )
            for name, change in differences(base, run).items()
        }
    return known


def _write_suspects(path: Path, suspects: Sequence[Suspect], names: Sequence[str]) -> None:
    header = ('path', 'label', 'name', 'probability', 'suggested', 'suggested_probability')
    write_csv(
        path,
        header,
        (
            [
                one.path, str(one.label), names[one.label], f'{one.given:.4f}',
                names[one.suggested], f'{one.probability:.4f}',
            ]
            for one in suspects
        ),
    )  # fmt: skip


def _write_doubles(path: Path, doubles: Sequence[Double], names: Sequence[str]) -> None:
    header = ('path', 'split', 'label', 'training_path', 'training_label', 'found')
    write_csv(
        path,
        header,
        (
            [one.path, one.split, _named(one.label, names), one.other,
             _named(one.other_label, names), one.text]
            for one in doubles
        ),
    )  # fmt: skip


def _named(label: int, names: Sequence[str]) -> str:
    return names[label] if 0 <= label < len(names) else ''
