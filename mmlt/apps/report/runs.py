"""The runs of a report: from a work directory, the folder of an evaluation, or predictions."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluate.command import evaluate_run
from ..evaluate.judge import Judged, judge
from ..predictions import Predictions, load_predictions

__all__ = ['Curve', 'Run', 'load_runs']

# Figure -> epochs and values.
Curve = tuple[list[float], list[float]]


@dataclass(frozen=True)
class Run:
    """One run of a report.

    Args:
        name: as it is shown.
        predictions: of its test images.
        judged: their figures.
        thresholds: limits of the shots.
        curves: figure -> its values over the epochs.
        config: text of the config, '' if there is none.
    """

    name: str
    predictions: Predictions
    judged: Judged
    thresholds: tuple[int, int]
    curves: dict[str, Curve] = field(default_factory=dict)
    config: str = ''


def load_runs(texts: Sequence[str], thresholds: tuple[int, int] | None = None) -> list[Run]:
    """Read all runs, and evaluate those that were not yet.

    Args:
        texts: ``PATH`` or ``NAME=PATH``; the first run is the baseline.
        thresholds: limits of the shots; None: those of the first run.

    Raises:
        ValueError: if a run cannot be read, has no class counts, or other classes than the first.
    """
    runs: list[Run] = []
    for text in texts:
        name, path = _split(text)
        run = _load(name, path, thresholds or (runs[0].thresholds if runs else None))
        if runs:
            _check_comparable(runs[0], run, path)
        runs.append(run)
    names = [run.name for run in runs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f'RUN: expected different names (NAME=PATH), got {twice!r} twice')
    return runs


def _split(text: str) -> tuple[str, Path]:
    name, separator, rest = text.partition('=')
    if separator and name and not Path(text).exists():
        return name, Path(rest)
    path = Path(text)
    home = path.resolve() if path.is_dir() else path.resolve().parent
    if path.is_file() and path.stem != 'predictions':
        return path.stem, path
    return (home.parent if home.name == 'evaluation' else home).name, path


def _load(name: str, path: Path, thresholds: tuple[int, int] | None) -> Run:
    file = path if path.is_file() else _predictions_in(path)
    predictions = load_predictions(file)
    if predictions.class_counts is None:
        raise ValueError(
            f'{path}: expected training images per class, got none; mmlt evaluate '
            f'{file} --class-counts-from FILE adds them'
        )
    limits = thresholds or _thresholds_in(file.parent)
    home = file.parent.parent if file.parent.name == 'evaluation' else file.parent
    return Run(
        name, predictions, judge(predictions, limits), limits, _curves(home), _config_in(home)
    )


def _predictions_in(folder: Path) -> Path:
    """``predictions.npz`` of a folder; made where the folder holds a config and a checkpoint."""
    if not folder.is_dir():
        raise ValueError(f'RUN: expected a folder or predictions (.npz), got no {folder}')
    here, below = folder / 'predictions.npz', folder / 'evaluation' / 'predictions.npz'
    if here.is_file():
        return here
    checkpoint, config = _checkpoint_in(folder), _config_file(folder)
    fresh = below.is_file() and (
        checkpoint is None or below.stat().st_mtime >= checkpoint.stat().st_mtime
    )
    if not fresh:
        if checkpoint is None or config is None:
            raise ValueError(
                f'RUN: expected predictions.npz, or config and checkpoint of a run, got {folder}'
            )
        evaluate_run(config, checkpoint, below.parent)
    return below


def _checkpoint_in(folder: Path) -> Path | None:
    note = folder / 'last_checkpoint'
    if note.is_file():
        named = folder / Path(note.read_text(encoding='utf-8').strip()).name
        if named.is_file():
            return named
    found = sorted(folder.glob('*.pth'), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def _config_file(folder: Path) -> Path | None:
    found = sorted(folder.glob('*.py'), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def _config_in(folder: Path) -> str:
    path = _config_file(folder)
    return '' if path is None else path.read_text(encoding='utf-8', errors='replace')


def _thresholds_in(folder: Path) -> tuple[int, int]:
    """Those with which the predictions were evaluated."""
    try:
        known = json.loads((folder / 'metrics.json').read_text(encoding='utf-8'))
        many, few = known['thresholds']
        return int(many), int(few)
    except (OSError, ValueError, KeyError, TypeError):
        return 100, 20


def _check_comparable(first: Run, run: Run, path: Path) -> None:
    one, other = first.predictions, run.predictions
    if one.classes.tolist() != other.classes.tolist():
        raise ValueError(f'{path}: expected the classes of {first.name}, got others')
    if not np.array_equal(one.class_counts, other.class_counts):  # type: ignore[arg-type]
        raise ValueError(f'{path}: expected the training images of {first.name}, got others')


# What is logged during training and belongs to the long tail.
_OF_TRAINING = re.compile(r'^loss$|spectral_norm|worst_confusion|gamma|prior', re.IGNORECASE)


def _curves(folder: Path) -> dict[str, Curve]:
    """Figures over the epochs, from the scalars that MMEngine logs; the last value of an epoch."""
    series: dict[str, dict[float, float]] = {}
    files = sorted(folder.glob('*/vis_data/scalars.json'), key=lambda path: path.stat().st_mtime)
    for path in files:
        epoch = 1.0
        for line in path.read_text(encoding='utf-8', errors='replace').splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                epoch = _note(series, entry, epoch)
    return {
        name: (sorted(values), [values[epoch] for epoch in sorted(values)])
        for name, values in series.items()
    }


def _note(series: dict[str, dict[float, float]], entry: dict[str, Any], epoch: float) -> float:
    """Keep what belongs to the long tail; returns the epoch, which some lines do not tell."""
    validation = any(name.startswith('long_tail/') for name in entry)
    told = entry.get('step') if validation else entry.get('epoch')
    if isinstance(told, (int, float)):
        epoch = float(told)
    for name, value in entry.items():
        wanted = name.startswith('long_tail/') if validation else _OF_TRAINING.search(name)
        if wanted and isinstance(value, (int, float)) and math.isfinite(value):
            series.setdefault(name.removeprefix('long_tail/'), {})[epoch] = float(value)
    return epoch
