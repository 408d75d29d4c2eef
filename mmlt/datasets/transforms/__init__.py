"""Transforms that MMPretrain lacks."""

from .cifar_auto_augment import CIFARAutoAugment
from .clipped_cutout import ClippedCutout
from .pack_index import PackIndex
from .placed_crop import PlacedCrop

__all__ = ['CIFARAutoAugment', 'ClippedCutout', 'PackIndex', 'PlacedCrop']
