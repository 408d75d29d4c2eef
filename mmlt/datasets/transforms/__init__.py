"""Transforms that MMPretrain lacks."""

from .cifar_auto_augment import CIFARAutoAugment
from .pack_index import PackIndex
from .placed_crop import PlacedCrop

__all__ = ['CIFARAutoAugment', 'PackIndex', 'PlacedCrop']
