"""``mmlt new``: from a folder of photographs to a project of a few small files."""

from .command import main

__all__ = ['main']
