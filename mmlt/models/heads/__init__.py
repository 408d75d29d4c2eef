"""Heads: classifiers and the losses they combine."""

from .contrastive_cls_head import ContrastiveClsHead
from .cosine_cls_head import CosineClsHead

__all__ = ['ContrastiveClsHead', 'CosineClsHead']
