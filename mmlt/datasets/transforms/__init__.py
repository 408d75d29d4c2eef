"""Transforms that MMPretrain lacks."""

from .cifar_auto_augment import CIFARAutoAugment
from .placed_crop import PlacedCrop

__all__ = ['CIFARAutoAugment', 'PlacedCrop']
