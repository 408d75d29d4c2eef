"""``mmlt evaluate CONFIG CHECKPOINT``: judge a model, also one that was trained without mmlt."""

from .command import main

__all__ = ['main']
