"""Names that recipes of users may have."""

from __future__ import annotations

from mmengine.registry import FUNCTIONS

from .autocast import CPUAutocastOptimWrapper

__all__ = ['CPUAutocastOptimWrapper', 'seed_worker_of_epoch']


def seed_worker_of_epoch(worker_id: int) -> None:
    """Nothing: each image has a seed of its own (:class:`mmlt.hooks.EpochSeedHook`).

    Args:
        worker_id: number of the worker.
    """


FUNCTIONS.register_module(module=seed_worker_of_epoch)
