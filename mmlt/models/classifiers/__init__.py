"""Classifiers that take several views of an image."""

from .multi_view_classifier import MultiViewClassifier

__all__ = ['MultiViewClassifier']
