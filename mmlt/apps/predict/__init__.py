"""``mmlt predict MODEL IMAGES``, and the same from Python: :func:`mmlt.predict`."""

from .api import Predictions, predict
from .command import main

__all__ = ['Predictions', 'main', 'predict']
