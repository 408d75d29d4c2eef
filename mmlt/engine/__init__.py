"""What the training loop itself needs: optimiser wrappers and seeding of data workers."""

from .cpu_autocast import CPUAutocastOptimWrapper
from .epoch_worker_init import seed_worker_of_epoch

__all__ = ['CPUAutocastOptimWrapper', 'seed_worker_of_epoch']
