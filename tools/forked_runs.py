"""Several trainings side by side, each in a forked process of one thread with a log of its own."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.2
LOG_LINES_SHOWN = 15
# Imported before forking: what a run on the digits would spend seconds on.
PRELOADED = ('sklearn.datasets', 'matplotlib.pyplot')
Figures = dict[str, float]
Trainer = Callable[[list[str]], Any]


@dataclass(frozen=True)
class Run:
    """One training.

    Args:
        label: method, for people.
        seed: random seed, for people.
        epochs: how many it takes.
        log: file for everything that it prints.
        argv: arguments of tools/train.py.
    """

    label: str
    seed: int
    epochs: int
    log: Path
    argv: tuple[str, ...]

    def epochs_done(self) -> int:
        """Epochs that the log tells of."""
        return self.log.read_text(encoding='utf-8').count('Epoch(train)')


class RunFailed(Exception):
    """A run ended without figures; the message holds the end of its log."""

    def __init__(self, run: Run) -> None:
        lines = run.log.read_text(encoding='utf-8').splitlines()[-LOG_LINES_SHOWN:]
        super().__init__(
            '\n'.join(
                [
                    f'{run.label}, seed {run.seed} failed. The end of {run.log}:',
                    *(f'    {line}' for line in lines),
                ]
            )
        )


def import_trainer() -> Trainer:
    """Import the host, once for all runs, and return ``main`` of tools/train.py."""
    # The networks are too small for a GPU to help, and CUDA does not survive a fork.
    os.environ['CUDA_VISIBLE_DEVICES'] = ''
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        train = importlib.import_module('train').main
        for name in PRELOADED:
            importlib.import_module(name)
    return train


def train_apart(train: Trainer, run: Run, figures: Sequence[str], outlet: Connection) -> None:
    """The process of one run: all that is printed goes to its log, the figures to ``outlet``."""
    import torch

    # Stays open until the process ends, since a traceback is written last.
    log = run.log.open('w', buffering=1, encoding='utf-8')
    for descriptor in (1, 2):
        os.dup2(log.fileno(), descriptor)
    sys.stdout = sys.stderr = log
    torch.set_num_threads(1)
    hub = train(list(run.argv)).message_hub
    outlet.send({figure: float(hub.get_scalar(f'val/{figure}').current()) for figure in figures})


@dataclass
class Started:
    """A run in its process."""

    run: Run
    process: multiprocessing.process.BaseProcess
    inlet: Connection
    since: float

    @classmethod
    def start(cls, train: Trainer, run: Run, figures: Sequence[str]) -> Started:
        """Fork, which does not repeat the imports."""
        context = multiprocessing.get_context('fork')
        inlet, outlet = context.Pipe(duplex=False)
        run.log.write_text('', encoding='utf-8')
        process = context.Process(
            target=train_apart, args=(train, run, figures, outlet), daemon=True
        )
        process.start()
        outlet.close()
        return cls(run, process, inlet, time.monotonic())

    def figures(self) -> Figures:
        """Figures of a process that has ended."""
        self.process.join()
        try:
            figures = self.inlet.recv()
        except EOFError:
            raise RunFailed(self.run) from None
        if self.process.exitcode != 0:
            raise RunFailed(self.run)
        return figures


def train_all(
    train: Trainer,
    runs: Sequence[Run],
    figures: Sequence[str],
    jobs: int,
    show: Callable[[int], None],
) -> Iterator[tuple[Run, Figures, float]]:
    """Train, and yield run, figures and seconds as each one ends.

    Args:
        train: ``main`` of tools/train.py, see :func:`import_trainer`.
        runs: all runs.
        figures: names of the validation figures to report, those of the last epoch.
        jobs: runs at a time.
        show: called every now and then with the number of epochs done.

    Raises:
        RunFailed: when the first run fails; those beside it are stopped.
    """
    waiting, running, epochs = deque(runs), [], 0
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(Started.start(train, waiting.popleft(), figures))
            wait([one.process.sentinel for one in running], timeout=POLL_SECONDS)
            for one in [one for one in running if not one.process.is_alive()]:
                result = one.figures()
                running.remove(one)
                epochs += one.run.epochs
                yield one.run, result, time.monotonic() - one.since
            show(epochs + sum(one.run.epochs_done() for one in running))
    finally:
        for one in running:
            one.process.terminate()
            one.process.join()
