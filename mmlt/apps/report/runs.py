"""The runs of a report: from a work directory, the folder of an evaluation, or predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluate.command import evaluate_run
from ..evaluate.judge import Judged, judge, mean_of_seeds
from ..predictions import Predictions, load_predictions
from ..text import noted
from .curves import Curve, mean_of_curves, read_curves
from .entries import checkpoint_file, config_file, entries_of

__all__ = ['Run', 'load_runs', 'merge_seeds', 'same_images']


@dataclass(frozen=True)
class Run:
    """One entry of a report: a run, or several that differ in their seeds.

    Args:
        name: as it is shown.
        predictions: of the test images; of several seeds one after another, ``S * N`` rows.
        judged: their figures; of several seeds the means. ``judged.tallies`` are means, too.
        thresholds: limits of the shots.
        seeds: name of the seed -> its figures, at least one.
        curves: figure -> its values over the epochs, means over the seeds.
        config: text of the config, '' if there is none.
        home: work directory of the (first) run.
    """

    name: str
    predictions: Predictions
    judged: Judged
    thresholds: tuple[int, int]
    seeds: dict[str, Judged]
    curves: dict[str, Curve] = field(default_factory=dict)
    config: str = ''
    home: Path = Path()

    @property
    def images(self) -> int:
        """``N``, test images."""
        return len(self.predictions.labels) // len(self.seeds)


def load_runs(texts: Sequence[str], thresholds: tuple[int, int] | None = None) -> list[Run]:
    """Read all runs, and evaluate those that were not yet.

    Args:
        texts: ``PATH`` or ``NAME=PATH``; the first run is the baseline.
        thresholds: limits of the shots; None: those of the first run.

    Raises:
        ValueError: if a run cannot be read, has no class counts, or other classes or another split
            than the first.
    """
    runs: list[Run] = []
    for name, members in entries_of(texts).items():
        seeds: list[Run] = []
        for seed, path in members.items():
            run = _load(seed, path, thresholds or (runs[0].thresholds if runs else None))
            if runs or seeds:
                _check_comparable(runs[0] if runs else seeds[0], run, path)
            seeds.append(run)
        runs.append(merge_seeds(name, seeds))
    return runs


def merge_seeds(name: str, seeds: Sequence[Run]) -> Run:
    """Several runs that differ in their seeds, as one; or one run under another name.

    Raises:
        ValueError: if they were not tested on the same images.
    """
    first = seeds[0]
    if len(seeds) == 1:
        return replace(first, name=name)
    for run in seeds[1:]:
        if not same_images(first, run):
            raise ValueError(f'{name}: expected the test images of {first.name}, got others of '
                             f'{run.name}')  # fmt: skip
    parts = [run.predictions for run in seeds]
    pooled = replace(
        first.predictions,
        paths=np.concatenate([part.paths for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
        features=None,
    )
    return replace(
        first,
        name=name,
        predictions=pooled,
        judged=mean_of_seeds([run.judged for run in seeds]),
        seeds={run.name: run.judged for run in seeds},
        curves=mean_of_curves([run.curves for run in seeds]),
    )


def same_images(one: Run, other: Run) -> bool:
    """Whether two runs were tested on the same images, in the same order."""
    first, second = one.images, other.images
    return first == second and all(
        np.array_equal(mine[:first], theirs[:first])
        for mine, theirs in (
            (one.predictions.labels, other.predictions.labels),
            (one.predictions.paths, other.predictions.paths),
        )
    )


def _load(name: str, path: Path, thresholds: tuple[int, int] | None) -> Run:
    file = path if path.is_file() else _predictions_in(path)
    predictions = load_predictions(file)
    if predictions.class_counts is None:
        raise ValueError(
            f'{path}: expected training images per class, got none; mmlt evaluate '
            f'{file} --class-counts-from FILE adds them'
        )
    limits = thresholds or _thresholds_in(file.parent)
    home = file.parent.parent if file.parent.name.startswith('evaluation') else file.parent
    judged = judge(predictions, limits)
    return Run(
        name, predictions, judged, limits, {name: judged}, read_curves(home), _config_in(home), home
    )


def _predictions_in(folder: Path) -> Path:
    """``predictions.npz`` of a folder; made where the folder holds a config and a checkpoint."""
    if not folder.is_dir():
        raise ValueError(f'RUN: expected a folder or predictions (.npz), got no {folder}')
    here, below = folder / 'predictions.npz', folder / 'evaluation' / 'predictions.npz'
    if here.is_file():
        return here
    checkpoint, config = checkpoint_file(folder), config_file(folder)
    if not below.is_file() or (checkpoint is not None and not _is_of(below, checkpoint)):
        if checkpoint is None or config is None:
            raise ValueError(
                f'RUN: expected predictions.npz, or config and checkpoint of a run, got {folder}'
            )
        evaluate_run(config, checkpoint, below.parent)
    return below


def _is_of(predictions: Path, checkpoint: Path) -> bool:
    """Whether predictions are those of this checkpoint, on the test images."""
    known = _metrics_in(predictions.parent)
    source = known.get('source') or []
    named = Path(source[1]).name if len(source) == 2 else checkpoint.name
    newer = predictions.stat().st_mtime >= checkpoint.stat().st_mtime
    return newer and named == checkpoint.name and known.get('split', 'test') == 'test'


def _config_in(folder: Path) -> str:
    path = config_file(folder)
    return '' if path is None else path.read_text(encoding='utf-8', errors='replace')


def _thresholds_in(folder: Path) -> tuple[int, int]:
    """Those with which the predictions were evaluated."""
    try:
        many, few = _metrics_in(folder)['thresholds']
        return int(many), int(few)
    except (ValueError, KeyError, TypeError):
        return 100, 20


def _metrics_in(folder: Path) -> dict[str, Any]:
    """What ``mmlt evaluate`` noted beside its predictions; empty if that cannot be read."""
    return noted(folder / 'metrics.json')


def _check_comparable(first: Run, run: Run, path: Path) -> None:
    one, other = first.predictions, run.predictions
    if other.split and one.split and other.split != one.split:
        raise ValueError(
            f'{path}: expected predictions of the {one.split} images, as {first.name} has, got '
            f'those of {other.split}'
        )
    if one.classes.tolist() != other.classes.tolist():
        raise ValueError(f'{path}: expected the classes of {first.name}, got others')
    if not np.array_equal(one.class_counts, other.class_counts):  # type: ignore[arg-type]
        raise ValueError(f'{path}: expected the training images of {first.name}, got others')
