"""Necks: from feature maps to what the heads take."""

from .bcl_neck import BCLNeck

__all__ = ['BCLNeck']
