"""Figures over the epochs of a run, from the scalars that MMEngine logs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ['Curve', 'mean_of_curves', 'read_curves']

# Epochs and values.
Curve = tuple[list[float], list[float]]

# What is logged during training and belongs to the long tail.
_OF_TRAINING = re.compile(r'^loss$|spectral_norm|worst_confusion|gamma|prior', re.IGNORECASE)


def read_curves(folder: Path) -> dict[str, Curve]:
    """Figure -> its last value in each epoch, of the newest training and of what it resumed.

    Args:
        folder: work directory of a run.
    """
    series: dict[str, dict[float, float]] = {}
    start = math.inf
    logs = sorted(folder.glob('*/vis_data/scalars.json'))  # folders are named by their time
    for path in reversed(logs):
        entries = _entries(path)
        if not entries:
            continue  # it ended before its first line
        told = (epoch for entry in entries if (epoch := _epoch_of(entry)) is not None)
        epoch = first = next(told, 1.0)
        own: dict[str, dict[float, float]] = {}
        for entry in entries:
            epoch = _note(own, entry, epoch)
        for name, values in own.items():
            for at, value in values.items():
                if at <= start:
                    series.setdefault(name, {}).setdefault(at, value)
        start = min(start, first)
        if start <= 1:
            break  # it began anew
    return {
        name: (sorted(values), [values[epoch] for epoch in sorted(values)])
        for name, values in series.items()
    }


def _entries(path: Path) -> list[dict[str, Any]]:
    found = []
    for line in path.read_text(encoding='utf-8', errors='replace').splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            found.append(entry)
    return found


def _is_validation(entry: dict[str, Any]) -> bool:
    return any(name.startswith('long_tail/') for name in entry)


def _epoch_of(entry: dict[str, Any]) -> float | None:
    """None for the lines that do not tell it."""
    told = entry.get('step') if _is_validation(entry) else entry.get('epoch')
    return float(told) if isinstance(told, (int, float)) else None


def _note(series: dict[str, dict[float, float]], entry: dict[str, Any], epoch: float) -> float:
    """Keep what belongs to the long tail; returns the epoch, if need be that of the line before."""
    told = _epoch_of(entry)
    epoch = epoch if told is None else told
    for name, value in entry.items():
        of_validation = name.startswith('long_tail/')
        wanted = of_validation if _is_validation(entry) else _OF_TRAINING.search(name)
        if wanted and isinstance(value, (int, float)) and math.isfinite(value):
            series.setdefault(name.removeprefix('long_tail/'), {})[epoch] = float(value)
    return epoch


def mean_of_curves(seeds: Sequence[dict[str, Curve]]) -> dict[str, Curve]:
    """Mean over seeds, in the epochs that all of them have."""
    names = set(seeds[0]).intersection(*seeds[1:])
    means = {}
    for name in names:
        values = [dict(zip(*curves[name], strict=True)) for curves in seeds]
        epochs = sorted(set(values[0]).intersection(*values[1:]))
        if epochs:
            means[name] = epochs, [float(np.mean([v[e] for v in values])) for e in epochs]
    return means
