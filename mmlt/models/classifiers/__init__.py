"""Classifiers."""

from .multi_view_classifier import MultiViewClassifier

__all__ = ['MultiViewClassifier']
