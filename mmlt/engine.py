"""Names that recipes of users may have: they live in :mod:`mmlt.hooks` and :mod:`mmlt.autocast`."""

from .autocast import CPUAutocastOptimWrapper
from .hooks.epoch_seed_hook import seed_worker_of_epoch

__all__ = ['CPUAutocastOptimWrapper', 'seed_worker_of_epoch']
