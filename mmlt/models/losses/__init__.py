"""Losses: modules that any MMPretrain head takes."""

from .ldam_loss import LDAMLoss
from .logit_adjusted_loss import LogitAdjustedLoss

__all__ = ['LDAMLoss', 'LogitAdjustedLoss']
