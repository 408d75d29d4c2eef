"""Random numbers that seed, epoch and position determine."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmpretrain.registry import HOOKS

from mmlt.datasets.samplers.positions import PositionedBatches, draw_by_position, seed_generators

from .runner_parts import shared_seed

__all__ = ['EpochSeedHook', 'seed_iteration']

# Set the draws of the main process apart from those of images, whose key has three numbers.
_EPOCH, _ITERATION = 1, 2


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Lets all that is drawn in training follow from the seed and where the run is.

    MMEngine does not restore random states on resume, and seeds each worker by its number and
    rank. With this hook

    - the pipeline of an image draws by seed, epoch and the position of the image in the epoch, so
      any number of workers and ranks draws the same, and so does a run that was resumed;
    - the main process draws by seed, iteration and rank: dropout, and whatever else uses the
      global generators of python, numpy and torch.

    A pipeline with generators of its own, and an iterable data set, draw as they do without it.

    Example:
        >>> custom_hooks = [dict(type='EpochSeedHook')]
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Give each image of the training data generators of its own."""
        self._seed = shared_seed(runner)
        draw_by_position(runner.train_dataloader, self._seed)

    def before_train_epoch(self, runner: Runner) -> None:
        """Announce the epoch, and seed for what is drawn before its first iteration."""
        batches = runner.train_dataloader.batch_sampler
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        if by_epoch and isinstance(batches, PositionedBatches):
            batches.epoch = runner.epoch
        _seed_process(self._seed, runner.epoch, runner.rank, _EPOCH)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed this process for the iteration."""
        seed_iteration(self._seed, runner.iter, runner.rank)


def seed_iteration(seed: int, iteration: int, rank: int) -> None:
    """Seed this process for what a training step draws.

    Args:
        seed: of the run, the same on all ranks.
        iteration: of the run, from 0.
        rank: of this process.
    """
    _seed_process(seed, iteration, rank, _ITERATION)


def _seed_process(*key: int) -> None:
    seed = seed_generators(*key)
    if get_device() != 'cpu':
        torch.manual_seed(seed)
        seed_generators(*key)  # of the CPU, which draws the same with and without a device
