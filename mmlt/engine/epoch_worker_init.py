"""Seeding of data loading workers that differs by epoch and survives a resume."""

from __future__ import annotations

import random

import numpy as np
import torch
from mmengine.registry import FUNCTIONS

__all__ = ['seed_worker_of_epoch']


@FUNCTIONS.register_module()
def seed_worker_of_epoch(worker_id: int) -> None:
    """Seed numpy and python in a data loading worker from torch's seed of the epoch.

    MMEngine's default seeds a worker by seed, rank and worker only: workers that start anew every
    epoch repeat the same augmentations. torch gives a worker a base seed that it draws from the
    main process when the epoch begins, and :class:`mmlt.hooks.EpochSeedHook` sets that generator
    by seed, epoch and rank. With ``persistent_workers=False`` the augmentations of an epoch thus
    depend on the epoch alone, in a resumed run too.

    Args:
        worker_id: number of the worker; torch has mixed it into its seed already.

    Example:
        >>> train_dataloader = dict(worker_init_fn=dict(type='seed_worker_of_epoch'))
    """
    del worker_id
    seed = torch.initial_seed() % 2**32
    # The transforms of the host draw from the global generators of their own worker process.
    np.random.seed(seed)
    random.seed(seed)
