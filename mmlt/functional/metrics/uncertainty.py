"""How sure a figure is: intervals of an accuracy, of the mean over classes, and of differences.

Rare classes tend to have few test images, and ten images are not much: 5 of 10 right is anything
from 24 to 76 per cent.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from ..checks import check_number, refuse
from .tallies import FloatArray

__all__ = [
    'class_mean_difference_interval',
    'class_mean_interval',
    'difference_interval',
    't_interval',
    'wilson_interval',
]


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


def difference_interval(
    gained: Any, lost: Any, images: Any, z: float = 1.96
) -> tuple[FloatArray, FloatArray]:
    r"""Interval of the difference of two accuracies that were measured on the same images.

    What both have right or wrong does not count. With half an image added to each of the four
    cells, ``g`` gained and ``l`` lost of ``n`` images:

    .. math:: d \pm z \sqrt{\frac{(g + l)/n - d^2}{n}}, \qquad d = (g - l)/n

    Args:
        gained: ``(K,)`` images that only the second model has right.
        lost: ``(K,)`` images that only the first one has right.
        images: ``(K,)`` counts, at least ``gained + lost``.
        z: half width in standard deviations, positive; 1.96 for 95 per cent.

    Returns:
        Lower and upper ends, ``(K,)`` each, in [-1, 1]; ``nan`` where there are no images.

    Raises:
        ValueError: if the shapes disagree or more changed than there are.

    Reference:
        Agresti and Min, Simple Improved Confidence Intervals for Comparing Matched Proportions,
        2005.

    Example:
        >>> low, high = difference_interval([12], [4], [100])
        >>> round(float(low[0]), 3), round(float(high[0]), 3)
        (0.001, 0.156)
    """
    change, variance = _change(gained, lost, images, z)
    half = z * np.sqrt(variance)
    return np.clip(change - half, -1.0, 1.0), np.clip(change + half, -1.0, 1.0)


def class_mean_difference_interval(
    gained: Any, lost: Any, images: Any, z: float = 1.96
) -> tuple[float, float]:
    """Interval of the difference of two means of class accuracies, on the same test images.

    Args:
        gained: ``(K,)`` images that only the second model has right.
        lost: ``(K,)`` images that only the first one has right.
        images: ``(K,)`` counts; classes without images are left out.
        z: half width in standard deviations, positive.

    Returns:
        Lower and upper end in [-1, 1], around the plain difference, with the variance of
        :func:`difference_interval` for each class; ``nan`` without any image.

    Example:
        >>> low, high = class_mean_difference_interval([3, 1], [0, 1], [10, 10])
        >>> round(low, 2), round(high, 2)
        (-0.05, 0.35)
    """
    _, variance = _change(gained, lost, images, z)
    more, fewer, total = (np.asarray(part, dtype=float) for part in (gained, lost, images))
    known = total > 0
    if not known.any():
        return math.nan, math.nan
    mean = float(((more - fewer)[known] / total[known]).mean())
    half = z * math.sqrt(float(variance[known].sum())) / int(known.sum())
    return max(mean - half, -1.0), min(mean + half, 1.0)


def t_interval(values: Any, confidence: float = 0.95) -> tuple[float, float]:
    r"""Student's interval of a mean, as of differences of two methods over seeds.

    .. math:: \bar x \pm t_{n-1} \frac{s}{\sqrt n}

    Few seeds make it wide: the factor :math:`t` is 12.7 for two values, 4.3 for three, 2.8 for
    five. Differences that are paired by seed leave out what a seed does to both methods.

    Args:
        values: ``(n,)`` finite numbers.
        confidence: in (0, 1).

    Returns:
        Lower and upper end, in the unit of the values; ``nan`` for fewer than two of them.

    Raises:
        ValueError: if the values are not a list of finite numbers.

    Reference:
        Student, The Probable Error of a Mean, 1908.

    Example:
        >>> low, high = t_interval([1.0, 2.0, 3.0])
        >>> round(low, 2), round(high, 2)
        (-0.48, 4.48)
    """
    check_number('confidence', confidence, '(0, 1)')
    sample = np.asarray(values, dtype=float)
    if sample.ndim != 1 or not np.isfinite(sample).all():
        raise refuse('values', 'finite numbers (n,)', values)
    if sample.size < 2:
        return math.nan, math.nan
    error = float(sample.std(ddof=1)) / math.sqrt(sample.size)
    half = _t_quantile(confidence, sample.size - 1) * error
    return float(sample.mean()) - half, float(sample.mean()) + half


@functools.cache
def _t_quantile(confidence: float, freedom: int) -> float:
    """Beyond which lies ``1 - confidence`` of Student's distribution, on both sides together."""
    # With t = sqrt(freedom) tan(angle) its density is cos(angle) to the power of freedom - 1.
    angle = np.linspace(0.0, math.pi / 2, 200_001)
    density = np.cos(angle) ** (freedom - 1)
    mass = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    found = np.interp(confidence, mass / mass[-1], angle)
    return math.sqrt(freedom) * math.tan(float(found))


def _change(gained: Any, lost: Any, images: Any, z: float) -> tuple[FloatArray, FloatArray]:
    """Smoothed differences and their variances, ``(K,)`` each."""
    more, fewer = np.asarray(gained, dtype=float), np.asarray(lost, dtype=float)
    if more.shape != fewer.shape:
        raise refuse('gained, lost', 'one shape (K,)', (more.shape, fewer.shape))
    _, total = _check_counts(more + fewer, images, z, 'gained + lost')
    total = np.where(total > 0, total + 2, np.nan)
    change = (more - fewer) / total
    return change, ((more + fewer + 1) / total - change**2) / total


def _check_counts(
    correct: Any, images: Any, z: float, name: str = 'correct'
) -> tuple[FloatArray, FloatArray]:
    check_number('z', z, '(0, inf)')
    right, total = np.asarray(correct, dtype=float), np.asarray(images, dtype=float)
    if right.shape != total.shape or right.ndim != 1:
        raise refuse(f'{name}, images', 'one shape (K,)', (right.shape, total.shape))
    if not (np.isfinite(total).all() and ((right >= 0) & (right <= total)).all()):
        raise refuse(name, 'counts from 0 to the number of images', correct)
    return right, total
