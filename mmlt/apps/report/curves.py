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
    """Figure -> its last value in each epoch.

    Args:
        folder: work directory of a run.
    """
    series: dict[str, dict[float, float]] = {}
    for path in sorted(folder.glob('*/vis_data/scalars.json')):  # folders are named by their time
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
