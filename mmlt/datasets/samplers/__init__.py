"""Samplers: which images an epoch shows, and who is paired with whom."""

from .class_balanced_sampler import ClassBalancedSampler
from .pair_batch_sampler import PairBatchSampler
from .pair_sampler import PairSampler

__all__ = ['ClassBalancedSampler', 'PairBatchSampler', 'PairSampler']
