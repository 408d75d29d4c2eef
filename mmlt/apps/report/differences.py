"""What a run gains or loses against the baseline, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmlt.functional.metrics.uncertainty import (
    class_mean_difference_interval,
    difference_interval,
    t_interval,
)

from .runs import Run, same_images

__all__ = ['Difference', 'class_differences', 'differences']


@dataclass(frozen=True)
class Difference:
    """Points that a figure of a run is above that of the baseline.

    Args:
        points: in per cent.
        interval: at 95 per cent, None where it is not known.
    """

    points: float
    interval: tuple[float, float] | None = None


def differences(base: Run, run: Run) -> dict[str, Difference]:
    """All figures that both have, against the baseline.

    Of runs with several seeds in common, the differences are paired by seed, and the interval is
    that of other seeds. Of single runs on the same test images, it is that of other test images;
    worst class, harmonic mean, F1 and calibration error have none then.
    """
    common = [seed for seed in base.seeds if seed in run.seeds]
    if len(common) >= 2:
        return _by_seed(base, run, common)
    found = {}
    intervals = _by_image(base, run) if len(base.seeds) == len(run.seeds) == 1 else {}
    for name, value in run.judged.figures.items():
        points = value - base.judged.figures.get(name, math.nan)
        if not math.isnan(points):
            found[name] = Difference(points, intervals.get(name))
    return found


def _by_seed(base: Run, run: Run, common: list[str]) -> dict[str, Difference]:
    found = {}
    for name in run.judged.figures:
        points = [
            run.seeds[seed].figures[name] - base.seeds[seed].figures.get(name, math.nan)
            for seed in common
        ]
        if not np.isnan(points).any():
            found[name] = Difference(float(np.mean(points)), t_interval(points))
    return found


def _by_image(base: Run, run: Run) -> dict[str, tuple[float, float]]:
    changes = _changes(base, run)
    if changes is None:
        return {}
    gained, lost, images = changes
    low, high = difference_interval([gained.sum()], [lost.sum()], [images.sum()])
    found = {'top1': (float(low[0]), float(high[0]))}
    groups = {f'{shot}_shot': mask for shot, mask in base.judged.groups.items()}
    for name, mask in {'class_mean': images > 0, **groups}.items():
        if images[mask].any():
            found[name] = class_mean_difference_interval(gained[mask], lost[mask], images[mask])
    return {name: (100 * ends[0], 100 * ends[1]) for name, ends in found.items()}


def class_differences(base: Run, run: Run) -> list[tuple[float, float] | None]:
    """Interval of the difference in points of each class, for other test images; ``K``.

    Of runs with different test images, or different numbers of seeds, all are None.
    """
    changes = _changes(base, run) if len(base.seeds) == len(run.seeds) else None
    if changes is None:
        return [None] * len(base.predictions.classes)
    low, high = difference_interval(*changes)
    return [
        None if math.isnan(one) else (100 * float(one), 100 * float(other))
        for one, other in zip(low, high, strict=True)
    ]


def _changes(
    base: Run, run: Run
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]] | None:
    """Images of each class that a run gains and loses, and all; means over the seeds."""
    if not same_images(base, run):
        return None
    labels, classes = base.predictions.labels, len(base.predictions.classes)
    before, after = base.judged.predicted == labels, run.judged.predicted == labels
    seeds = len(base.seeds)
    gained = np.bincount(labels[after & ~before], minlength=classes) / seeds
    lost = np.bincount(labels[before & ~after], minlength=classes) / seeds
    return gained, lost, base.judged.tallies.targets
