"""Losses: modules that any MMPretrain head takes."""

from .balanced_contrastive_loss import BalancedContrastiveLoss
from .car_loss import CARLoss
from .ldam_loss import LDAMLoss
from .logit_adjusted_loss import LogitAdjustedLoss
from .proco_loss import ProCoLoss
from .vs_loss import VSLoss

__all__ = [
    'BalancedContrastiveLoss',
    'CARLoss',
    'LDAMLoss',
    'LogitAdjustedLoss',
    'ProCoLoss',
    'VSLoss',
]
