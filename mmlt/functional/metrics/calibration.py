"""Whether a confidence means what it says: reliability diagram and expected calibration error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..checks import check_integer, refuse
from .tallies import FloatArray, IntArray

__all__ = ['Reliability', 'reliability']


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram of ``B`` bins of equal width over the confidence.

    Args:
        images: ``(B,)`` int64 in each bin.
        confidence: ``(B,)`` mean confidence, in [0, 1]; ``nan`` in an empty bin.
        accuracy: ``(B,)`` correct share, in [0, 1]; ``nan`` in an empty bin.
    """

    images: IntArray
    confidence: FloatArray
    accuracy: FloatArray

    @property
    def error(self) -> float:
        """Expected calibration error: the gap of a bin, averaged over images; ``nan`` without."""
        filled = self.images > 0
        if not filled.any():
            return float('nan')
        gaps = np.abs(self.accuracy - self.confidence)[filled]
        return float(np.average(gaps, weights=self.images[filled]))


def reliability(confidence: Any, correct: Any, bins: int = 15) -> Reliability:
    """Mean confidence and accuracy in bins of the confidence.

    Args:
        confidence: ``(N,)`` probability of the predicted class, in [0, 1].
        correct: ``(N,)`` bool, whether the prediction is right.
        bins: ``B``, at least 1; bin ``b`` is ``(b / B, (b + 1) / B]``, the first takes 0 too.

    Returns:
        The diagram; its ``error`` is the expected calibration error.

    Raises:
        ValueError: if shapes disagree or a confidence is no probability.

    Reference:
        Guo et al., On Calibration of Modern Neural Networks, ICML 2017, eq. 3.

    Example:
        >>> round(reliability([0.9, 0.9, 0.6], [True, False, True]).error, 3)
        0.4
    """
    check_integer('bins', bins, '[1, inf)')
    sure, right = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=bool)
    if sure.ndim != 1 or sure.shape != right.shape:
        raise refuse('confidence, correct', 'one shape (N,)', (sure.shape, right.shape))
    if sure.size and not (sure.min() >= 0 and sure.max() <= 1 + 1e-4):
        got = f'{sure.min()} .. {sure.max()}'
        raise refuse('confidence', 'probabilities in [0, 1]', got)
    place = np.clip(np.ceil(sure * bins).astype(np.int64) - 1, 0, bins - 1)
    images = np.bincount(place, minlength=bins)
    sums = [np.bincount(place, weights=part, minlength=bins) for part in (sure, right)]
    with np.errstate(invalid='ignore'):
        means = [part / images for part in sums]
    return Reliability(images, means[0], means[1])
