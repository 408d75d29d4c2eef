r"""Class laws, and classes drawn by them.

A law is a vector of class probabilities. An image is drawn in two steps: its class by the law,
here, and then one of the class's images (see ``class_pools``). The generators come from the
caller.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from .class_statistics import ClassCounts, effective_number_weights, validate_class_counts

__all__ = [
    'class_quotas',
    'class_sampling_probabilities',
    'draw_classes',
    'effective_number_probabilities',
    'progressive_probabilities',
]

IntArray = NDArray[np.int64]


def class_sampling_probabilities(class_counts: ClassCounts, power: float) -> Tensor:
    r"""Class law :math:`p_k \propto n_k^{power}`.

    Args:
        class_counts: ``(K,)`` training images per class.
        power: 1 instance-balanced, 0.5 square root, 0 class-balanced, -1 inverse.

    Returns:
        ``(K,)`` float64, sums to 1; an empty class has probability 0 whatever the power.

    Raises:
        ValueError: if the counts are not valid or ``power`` is not finite.

    Reference:
        Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition,
        ICLR 2020, eq. 1.

    Example:
        >>> class_sampling_probabilities([8, 2, 0], power=-1)
        tensor([0.2000, 0.8000, 0.0000], dtype=torch.float64)
    """
    if not np.isfinite(power):
        raise ValueError(f'power: expected a finite number, got {power}')
    counts = validate_class_counts(class_counts)
    # In logarithms, so that no power overflows.
    scores = power * counts.clamp(min=1).log()
    return torch.where(counts > 0, scores, -torch.inf).softmax(0)


def effective_number_probabilities(class_counts: ClassCounts, beta: float = 0.9999) -> Tensor:
    r"""Class law when an image is drawn with its effective-number weight, :math:`n_k w_k`.

    Args:
        class_counts: ``(K,)`` training images per class.
        beta: in ``[0, 1)``; 0 is instance-balanced, towards 1 class-balanced.

    Returns:
        ``(K,)`` float64, sums to 1; an empty class has probability 0.

    Raises:
        ValueError: if ``beta`` lies outside ``[0, 1)``.

    Reference:
        Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019, eq. 2:
        an image's weight is 1 / (effective number of its class), here as a probability.

    Example:
        >>> effective_number_probabilities([3, 1], beta=0.)
        tensor([0.7500, 0.2500], dtype=torch.float64)
    """
    mass = validate_class_counts(class_counts) * effective_number_weights(class_counts, beta)
    return mass / mass.sum()


def progressive_probabilities(start: Tensor, end: Tensor, progress: float) -> Tensor:
    r"""Progressively balanced law :math:`(1 - t/T)\,p^{start} + (t/T)\,p^{end}`.

    Args:
        start: ``(K,)`` law at the beginning.
        end: ``(K,)`` law at the end.
        progress: ``t/T`` in ``[0, 1]``.

    Returns:
        ``(K,)``, sums to 1.

    Raises:
        ValueError: if ``progress`` lies outside ``[0, 1]`` or the shapes disagree.

    Reference:
        Kang et al., ICLR 2020, eq. 2.

    Example:
        >>> progressive_probabilities(torch.tensor([1., 0.]), torch.tensor([0., 1.]), 0.25)
        tensor([0.7500, 0.2500])
    """
    if not 0 <= progress <= 1:
        raise ValueError(f'progress: expected a number in [0, 1], got {progress}')
    if start.shape != end.shape:
        raise ValueError(
            f'start, end: expected one shape, got {tuple(start.shape)} and {tuple(end.shape)}'
        )
    return (1 - progress) * start + progress * end


def draw_classes(probabilities: ArrayLike, size: int, rng: np.random.Generator) -> IntArray:
    """Independent draws from a class law.

    Args:
        probabilities: ``(K,)`` non-negative, in proportion.
        size: number of draws.
        rng: source of randomness.

    Returns:
        ``(size,)`` int64; a class of probability 0 is never among them.

    Example:
        >>> draw_classes([0., 1., 0.], 3, np.random.default_rng(0))
        array([1, 1, 1])
    """
    cumulative = np.cumsum(np.asarray(probabilities, dtype=np.float64))
    # Divided by its own last entry it ends at exactly 1, above every draw.
    classes: IntArray = np.searchsorted(cumulative / cumulative[-1], rng.random(size), side='right')
    return classes


def class_quotas(probabilities: ArrayLike, size: int, rng: np.random.Generator) -> IntArray:
    """Draws per class with the least spread: each is its expectation, rounded up or down.

    Systematic sampling: ``size`` points at equal distances from one random start, counted in the
    classes' intervals.

    Args:
        probabilities: ``(K,)`` non-negative, in proportion.
        size: number of draws altogether.
        rng: source of randomness.

    Returns:
        ``(K,)`` int64, sums to ``size``; unbiased.

    Example:
        >>> class_quotas([0.5, 0.25, 0.25, 0.], 8, np.random.default_rng(0))
        array([4, 2, 2, 0])
    """
    cumulative = np.cumsum(np.asarray(probabilities, dtype=np.float64))
    edges = cumulative / cumulative[-1] * size
    points_below = np.ceil(edges - rng.random()).astype(np.int64).clip(0, size)
    points_below[cumulative >= cumulative[-1]] = size
    quotas: IntArray = np.diff(points_below, prepend=0)
    return quotas
