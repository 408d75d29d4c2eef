"""``mmlt export MODEL``: a trained model as a file for other programs."""

from .command import main

__all__ = ['main']
