"""``mmlt compare PROJECT``: train methods with several seeds, and say which are better."""

from .command import main

__all__ = ['main']
