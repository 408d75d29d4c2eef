"""Heads: classifiers and the losses they combine."""

from .cosine_cls_head import CosineClsHead

__all__ = ['CosineClsHead']
