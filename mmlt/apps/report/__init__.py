"""``mmlt report RUN [RUN ...]``: one HTML file that shows what runs are worth, class by class."""

from .command import main

__all__ = ['main']
