"""A short timed training: what a step, a validation and a checkpoint cost on this machine.

A log of a whole run would tell it too, but only after the number of epochs had to be known.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..schedule import epochs_of
from .budget import Costs
from .runs import Run
from .work import build_runner, why_no_best

__all__ = ['measure']

LEAST_STEPS = 4
PICTURES_SECONDS = 3.0  # of an evaluation, which draws its figures


def measure(run: Run, folder: Path, seconds: float, tell: Callable[[Any], None]) -> None:
    """Train for some seconds, and send :class:`Costs` as a dict.

    Args:
        run: of the method; its own folder is not touched.
        folder: for what the training writes.
        seconds: of training; a few steps are done in any case.
        tell: gets the costs.
    """
    began = time.monotonic()
    cfg = run.load()
    # Infinite is never, and counts as once.
    interval = int(min(cfg.train_cfg.get('val_interval', 1), epochs_of(cfg)))
    single = why_no_best(cfg) is not None
    runner = build_runner(cfg, run.method.config, folder)
    probe = _Probe(seconds)
    runner.register_hook(probe, priority='LOWEST')
    with contextlib.suppress(_Enough):
        runner.train()
    building = probe.started - began
    step, longer = probe.step_and_start()
    again = 0.0 if runner.train_dataloader.persistent_workers else longer
    image, loop = _predicting(runner, seconds)
    tested = building + loop + image * len(runner.test_dataloader.dataset) + PICTURES_SECONDS
    validated = 0.0
    if runner.val_loop is not None:
        validated = loop + image * len(runner.val_dataloader.dataset)
    tell(
        asdict(
            Costs(
                start=building + longer,
                epoch=step * len(runner.train_dataloader) + again,
                validation=validated,
                interval=interval,
                saving=_saving(runner, folder),
                test=tested if single else 2 * tested,
            )
        )
    )


class _Enough(Exception):
    """The probe has trained long enough."""


class _Probe(Hook):
    """Times the steps, and ends the training after a while."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.started = seconds, 0.0
        self.firsts: list[float] = []  # of an epoch, which waits for the workers
        self.others: list[float] = []
        self._last = 0.0

    def before_train_epoch(self, runner: Runner) -> None:
        """Workers are about to start."""
        self._last = time.monotonic()
        self.started = self.started or self._last

    def after_train_iter(self, runner: Runner, batch_idx: int, *args: Any, **kwargs: Any) -> None:
        """Keep the time of the step."""
        now = time.monotonic()
        (self.others if batch_idx else self.firsts).append(now - self._last)
        self._last = now
        # What workers have prepared in advance comes faster than they can go on.
        least = LEAST_STEPS * max(1, runner.train_dataloader.num_workers)
        spent = now - self.started
        if spent > self.seconds and (len(self.others) >= least or spent > 3 * self.seconds):
            raise _Enough

    def before_val(self, runner: Runner) -> None:
        """What it costs is measured apart."""
        if time.monotonic() - self.started > self.seconds:
            raise _Enough

    def step_and_start(self) -> tuple[float, float]:
        """Seconds of a step, and by how much the first step of an epoch is longer."""
        first = statistics.fmean(self.firsts)
        step = statistics.fmean(self.others) if self.others else first
        return step, max(0.0, first - step)


def _predicting(runner: Runner, seconds: float) -> tuple[float, float]:
    """Seconds to predict one image, and to start a loop, measured on a part of the images."""
    loader = (runner.val_loop or runner.test_loop).dataloader
    runner.model.eval()
    times, images = [time.monotonic()], list[int]()
    with torch.no_grad():
        for batch in loader:
            images.append(len(runner.model.val_step(batch)))
            times.append(time.monotonic())
            if times[-1] - times[0] > seconds / 2 and len(images) > 1:
                break
    if len(images) == 1:
        return (times[1] - times[0]) / images[0], 0.0
    image = (times[-1] - times[1]) / sum(images[1:])
    return image, max(0.0, times[1] - times[0] - image * images[0])


def _saving(runner: Runner, folder: Path) -> float:
    began = time.monotonic()
    runner.save_checkpoint(str(folder), 'probe.pth')
    return time.monotonic() - began
