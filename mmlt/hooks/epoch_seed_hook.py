"""Random states that an epoch number determines."""

from __future__ import annotations

import random

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from .components import sampler_of

__all__ = ['EpochSeedHook']


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seeds the generators of this process at the start of each epoch, by seed, epoch and rank.

    MMEngine does not restore random states on resume. With this hook an epoch draws the same
    numbers whether the run was interrupted before it or not: dropout and whatever else draws in
    the main process, the transforms with ``num_workers=0``, and the seeds that the workers get
    (see :func:`mmlt.engine.seed_worker_of_epoch`).

    Where ``randomness.seed`` is not set, a resumed run has the seed of its checkpoint, but its
    sampler was built before, with another; it is given that seed too.

    Example:
        >>> custom_hooks = [dict(type='EpochSeedHook')]
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Give the run's seed to a sampler that was to have it."""
        loader, sampler = runner.cfg.get('train_dataloader'), sampler_of(runner)
        by_rank = (runner.cfg.get('randomness') or {}).get('diff_rank_seed', False)
        if not isinstance(loader, dict) or by_rank or not hasattr(sampler, 'seed'):
            return
        if 'seed' not in (loader.get('sampler') or {}) and sampler.seed != runner.seed:
            runner.logger.info(
                f'{type(sampler).__name__}: takes the seed of the run that is resumed'
            )
            sampler.seed = runner.seed

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed python, numpy, torch and every CUDA device."""
        sequence = np.random.SeedSequence([runner.seed, runner.epoch, runner.rank])
        seed = int(sequence.generate_state(1)[0])
        # The host's transforms draw from these global generators; they are what is to be set.
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
