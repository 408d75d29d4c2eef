"""How sure a figure is: intervals of an accuracy, and of the mean over classes.

Rare classes tend to have few test images, and ten images are not much: 5 of 10 right is anything
from 24 to 76 per cent.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..checks import check_number, refuse
from .tallies import FloatArray

__all__ = ['class_mean_interval', 'wilson_interval']


def wilson_interval(correct: Any, images: Any, z: float = 1.96) -> tuple[FloatArray, FloatArray]:
    r"""Wilson's score interval of a share, which fits small numbers and shares of 0 and 1.

    .. math:: \frac{p + z^2/2n \pm z \sqrt{p(1-p)/n + z^2/4n^2}}{1 + z^2/n}

    Args:
        correct: ``(K,)`` counts.
        images: ``(K,)`` counts, at least ``correct``.
        z: half width in standard deviations, positive; 1.96 for 95 per cent.

    Returns:
        Lower and upper ends, ``(K,)`` each, in [0, 1]; ``nan`` where there are no images.

    Raises:
        ValueError: if the shapes disagree or more are correct than there are.

    Reference:
        Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927.

    Example:
        >>> low, high = wilson_interval([5], [10])
        >>> round(float(low[0]), 3), round(float(high[0]), 3)
        (0.237, 0.763)
    """
    right, total = _check_counts(correct, images, z)
    with np.errstate(divide='ignore', invalid='ignore'):
        share = right / total
        middle = (share + z * z / (2 * total)) / (1 + z * z / total)
        half = np.sqrt(share * (1 - share) / total + (z / (2 * total)) ** 2)
        half = z * half / (1 + z * z / total)
    return np.clip(middle - half, 0.0, 1.0), np.clip(middle + half, 0.0, 1.0)


def class_mean_interval(correct: Any, images: Any, z: float = 1.96) -> tuple[float, float]:
    r"""Interval of the mean of class accuracies, as of a shot group, for the drawn test images.

    The classes are strata: the variance of the mean is :math:`\sum_k v_k / K^2`, with
    :math:`v_k = \tilde p_k (1 - \tilde p_k) / n_k`. Two right and two wrong images are added to
    each class for :math:`\tilde p_k`, so that a class with all images right is not taken for
    certain.

    Args:
        correct: ``(K,)`` counts.
        images: ``(K,)`` counts; classes without images are left out.
        z: half width in standard deviations, positive.

    Returns:
        Lower and upper end in [0, 1]; ``nan`` without any image.

    Reference:
        Agresti and Coull, Approximate Is Better than "Exact", 1998, for the added images.

    Example:
        >>> low, high = class_mean_interval([5, 10], [10, 10])
        >>> round(low, 2), round(high, 2)
        (0.56, 0.94)
    """
    right, total = _check_counts(correct, images, z)
    right, total = right[total > 0], total[total > 0]
    if not total.size:
        return math.nan, math.nan
    smooth = (right + 2) / (total + 4)
    half = z * math.sqrt(float((smooth * (1 - smooth) / total).sum())) / total.size
    mean = float((right / total).mean())
    return max(mean - half, 0.0), min(mean + half, 1.0)


def _check_counts(correct: Any, images: Any, z: float) -> tuple[FloatArray, FloatArray]:
    check_number('z', z, '(0, inf)')
    right, total = np.asarray(correct, dtype=float), np.asarray(images, dtype=float)
    if right.shape != total.shape or right.ndim != 1:
        raise refuse('correct, images', 'one shape (K,)', (right.shape, total.shape))
    if not (np.isfinite(total).all() and ((right >= 0) & (right <= total)).all()):
        raise refuse('correct', 'counts from 0 to the number of images', correct)
    return right, total
