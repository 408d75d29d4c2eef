"""``mmlt check CONFIG``: look through the images of a config before training on them."""

from .command import main

__all__ = ['main']
