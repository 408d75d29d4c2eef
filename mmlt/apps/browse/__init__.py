"""``mmlt browse CONFIG``: the batches and the classes that a recipe feeds to its model."""

from .command import main

__all__ = ['main']
