"""How many epochs fit into a given time."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ['Costs', 'duration', 'fit_epochs', 'makespan', 'seconds_of', 'text_of']

_UNITS = {'s': 1, 'm': 60, 'h': 3600, 'd': 86400}
_DURATION = re.compile(r'(\d+(?:\.\d+)?[smhd])+')
# Of the budget: estimates are a little too low where a machine is shared or gets hot.
SAFETY = 0.95


def seconds_of(text: str) -> float:
    """Seconds of ``40m``, ``1h30m``, ``90s`` or ``2d``.

    Raises:
        ValueError: if it is something else, or no time at all.
    """
    parts = re.findall(r'(\d+(?:\.\d+)?)([smhd])', text)
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not _DURATION.fullmatch(text) or not seconds:
        raise ValueError(f'expected a time such as 40m, 1h30m or 2d, got {text!r}')
    return seconds


def duration(text: str) -> float:
    """Type of an argument, see :func:`seconds_of`."""
    try:
        return seconds_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def text_of(seconds: float) -> str:
    """For people: ``45 s``, ``12 min``, ``3.5 h``."""
    if seconds < 90:
        return f'{seconds:.0f} s' if seconds >= 10 else f'{seconds:.2g} s'
    return f'{seconds / 60:.0f} min' if seconds < 5400 else f'{seconds / 3600:.1f} h'


@dataclass(frozen=True)
class Costs:
    """Measured seconds of a method.

    Args:
        start: until the first step, once for each run.
        epoch: of training.
        validation: of all validation images, once; also for the start of the loop.
        interval: epochs between two validations.
        saving: of a checkpoint, once for each epoch.
        test: of the evaluation at the end.
    """

    start: float
    epoch: float
    validation: float = 0.0
    interval: int = 1
    saving: float = 0.0
    test: float = 0.0

    def of_run(self, epochs: int) -> float:
        """Of a whole run."""
        validations = max(1, epochs // self.interval)
        each = (self.epoch + self.saving) * epochs
        return self.start + each + self.validation * validations + self.test


def makespan(durations: Sequence[float], jobs: int) -> float:
    """Seconds until the last of some tasks ends, each started in turn by whoever is free."""
    free = [0.0] * jobs
    for seconds in durations:
        free[free.index(min(free))] += seconds
    return max(free)


def fit_epochs(costs: Sequence[Costs], seeds: int, jobs: int, budget: float, most: int) -> int:
    """The largest number of epochs, the same for all methods, with which all runs fit.

    Args:
        costs: of each method.
        seeds: runs of each method.
        jobs: runs at a time.
        budget: seconds that are left.
        most: no more epochs than that.

    Returns:
        At least 1.

    Raises:
        ValueError: if not even one epoch fits.
    """

    def seconds(epochs: int) -> float:
        return makespan([cost.of_run(epochs) for cost in costs] * seeds, jobs)

    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if seconds(middle) <= SAFETY * budget:
            low = middle
        else:
            high = middle - 1
    if not low:
        needed = math.ceil(seconds(1) / SAFETY / 60)
        raise ValueError(
            f'--budget: expected at least {needed}m more for one epoch of {len(costs)} methods x '
            f'{seeds} seeds, got {text_of(max(budget, 0.0))} after measuring: fewer --seeds or '
            '--methods'
        )
    return low
