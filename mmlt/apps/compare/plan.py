"""What is going to be trained, for how many epochs, and why; kept with the runs."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mmlt.checkpoints import write_text_whole

from ..schedule import epochs_of
from .budget import Costs, fit_epochs, makespan, text_of
from .methods import Method
from .runs import Run, changed_settings

__all__ = ['Plan', 'locked', 'read_plan', 'runs_of']

FILE = 'plan.json'


@dataclass(frozen=True)
class Plan:
    """Decided once for a folder, so that later runs can be compared with earlier ones.

    Args:
        epochs: of all runs; None: each method has those of its recipe.
        budget: seconds, None for no limit.
        spent: seconds of the comparison until now, all its sessions together.
        costs: name of a method -> what was measured.
    """

    epochs: int | None = None
    budget: float | None = None
    spent: float = 0.0
    costs: dict[str, Costs] | None = None

    def save(self, home: Path) -> None:
        """Write ``plan.json``."""
        home.mkdir(parents=True, exist_ok=True)
        write_text_whole(json.dumps(asdict(self), indent=1) + '\n', home / FILE)

    def fit(
        self, methods: Sequence[Method], costs: dict[str, Costs], seeds: int, jobs: int
    ) -> Plan:
        """The plan with the epochs that fit into what is left of its budget."""
        most = max(epochs_of(method.load()) for method in methods)
        left = (self.budget or 0.0) - self.spent
        epochs = fit_epochs([costs[method.name] for method in methods], seeds, jobs, left, most)
        return replace(self, epochs=epochs, costs=costs)

    def reason(self, methods: Sequence[Method], seeds: int, jobs: int) -> str:
        """Why so many epochs, and how long they will take."""
        if self.budget is None or self.costs is None:
            return ''
        known = [self.costs[method.name] for method in methods if method.name in self.costs]
        most = max(epochs_of(method.load()) for method in methods)
        seconds = makespan([cost.of_run(self.epochs or 1) for cost in known] * seeds, jobs)
        each = ', '.join(
            f'{method.name} {text_of(self.costs[method.name].epoch)}'
            for method in methods
            if method.name in self.costs
        )
        why = 'those of the recipes fit' if self.epochs == most else f'of {most}, so many fit'
        return (
            f'{self.epochs} epochs for each run: {why} into {text_of(self.budget)} '
            f'(about {text_of(seconds)}; measured for an epoch: {each})'
        )


def read_plan(home: Path) -> Plan | None:
    """The plan of a folder, None where there is none."""
    try:
        known: dict[str, Any] = json.loads((home / FILE).read_text(encoding='utf-8'))
        costs = known.get('costs')
        if costs is not None:
            known['costs'] = {name: Costs(**values) for name, values in costs.items()}
        return Plan(**known)
    except (OSError, ValueError, TypeError):
        return None


def runs_of(methods: Sequence[Method], seeds: int, epochs: int | None, home: Path) -> list[Run]:
    """All runs, seed by seed, so that every method has figures early.

    Raises:
        ValueError: if a run was begun with another config.
    """
    runs = [Run(method, seed, epochs, home) for seed in range(seeds) for method in methods]
    for run in runs:
        changed = changed_settings(run)
        if changed:
            raise ValueError(
                f'{run.folder}: expected the config that the run was begun with, got changes: '
                f'{"; ".join(changed[:3])}. --force trains anew, --out FOLDER keeps both'
            )
    return runs


def forget(methods: Sequence[Method], home: Path) -> None:
    """Delete the plan and the runs of these methods, of all seeds, for ``--force``."""
    for method in methods:
        for folder in (home / method.name).glob('seed_*'):
            if (seed := folder.name.removeprefix('seed_')).isdecimal():
                Run(method, int(seed), None, home).remove()
    (home / FILE).unlink(missing_ok=True)
    shutil.rmtree(home / '.probe', ignore_errors=True)


@contextlib.contextmanager
def locked(home: Path) -> Iterator[None]:
    """Keep a second command out of the folder, also while runs of a killed one end.

    Raises:
        ValueError: if another one is at work there.
    """
    home.mkdir(parents=True, exist_ok=True)
    if sys.platform == 'win32':
        yield
        return
    import fcntl

    with (home / '.lock').open('w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(
                f'--out: expected a folder in which no comparison is at work, got {home}'
            ) from None
        yield
