"""Transforms that MMPretrain lacks."""

from .cifar_auto_augment import CIFARAutoAugment

__all__ = ['CIFARAutoAugment']
