"""``mmlt features``: what a network makes of all images, once, so that heads train in seconds."""

from .command import main
from .extraction import extract_features
from .frozen import frozen_config

__all__ = ['extract_features', 'frozen_config', 'main']
