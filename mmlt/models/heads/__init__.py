"""Heads: classifiers and the losses they combine."""

from .contrastive_cls_head import ContrastiveClsHead
from .cosine_cls_head import CosineClsHead
from .multi_expert_cls_head import MultiExpertClsHead

__all__ = ['ContrastiveClsHead', 'CosineClsHead', 'MultiExpertClsHead']
