"""Metrics of long-tailed recognition."""

from .long_tail_metric import LongTailMetric

__all__ = ['LongTailMetric']
