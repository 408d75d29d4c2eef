"""Samplers: which images an epoch shows, and who is paired with whom."""

from .class_balanced import ClassBalancedSampler
from .pairs import PairBatchSampler, PairSampler

__all__ = ['ClassBalancedSampler', 'PairBatchSampler', 'PairSampler']
