"""Random states that an epoch number determines."""

from __future__ import annotations

import random

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.registry import FUNCTIONS
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from .runner_parts import sampler_of

__all__ = ['EpochSeedHook', 'seed_worker_of_epoch']


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seeds the generators of this process at the start of each epoch, by seed, epoch and rank.

    MMEngine does not restore random states on resume. With this hook an epoch draws the same
    numbers whether the run was interrupted before it or not: dropout and whatever else draws in
    the main process, the transforms with ``num_workers=0``, and the seeds that the workers get
    (see :func:`mmlt.hooks.seed_worker_of_epoch`).

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
            runner.logger.info(f'{type(sampler).__name__}: takes the seed of the resumed run')
            sampler.seed = runner.seed

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed python, numpy, torch and every CUDA device."""
        sequence = np.random.SeedSequence([runner.seed, runner.epoch, runner.rank])
        seed = int(sequence.generate_state(1)[0])
        # The transforms of MMPretrain draw from these global generators.
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)


@FUNCTIONS.register_module()
def seed_worker_of_epoch(worker_id: int) -> None:
    """Seed numpy and python in a data loading worker from torch's seed of the epoch.

    MMEngine's default seeds a worker by seed, rank and worker only: workers that start anew every
    epoch repeat the same augmentations. torch gives a worker a base seed that it draws from the
    main process when the epoch begins, and :class:`EpochSeedHook` sets that generator
    by seed, epoch and rank. With ``persistent_workers=False`` the augmentations of an epoch thus
    depend on the epoch alone, in a resumed run too.

    Args:
        worker_id: number of the worker; torch has mixed it into its seed already.

    Example:
        >>> train_dataloader = dict(worker_init_fn=dict(type='seed_worker_of_epoch'))
    """
    del worker_id
    seed = torch.initial_seed() % 2**32
    # The transforms of MMPretrain draw from the global generators of their worker process.
    np.random.seed(seed)
    random.seed(seed)
