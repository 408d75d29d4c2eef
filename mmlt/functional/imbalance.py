r"""Class counts of a long-tailed training set, and the images that are kept for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .checks import check_integer, check_number, refuse
from .counts import count_labels

__all__ = ['IMBALANCE_TYPES', 'exponential_class_counts', 'long_tail_indices', 'step_class_counts']

# A count such as 49 * (1 / 49) comes out one ulp below the integer that is meant. No profile of a
# published benchmark lies this close below an integer without being meant to be that integer.
_ROUNDING_SLACK = 1e-12


def exponential_class_counts(max_count: int, num_classes: int, imbalance_ratio: float) -> list[int]:
    r"""Class sizes that fall exponentially, :math:`n_i = \lfloor n_{max}\,r^{-i/(K-1)} \rfloor`.

    Args:
        max_count: images of class 0, at least 1.
        num_classes: :math:`K`, at least 1.
        imbalance_ratio: :math:`r`, largest over smallest class, at least 1 (100, never 0.01).

    Returns:
        ``K`` counts. The last ones are 0 where ``imbalance_ratio > max_count``.

    Reference:
        Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss",
        NeurIPS 2019, section 4. The released code truncates without regard to rounding, so that
        for some ratios (49, say) the last class loses an image; the counts of the ratios that are
        in use (10, 20, 50, 100, 200) are the same.

    Example:
        >>> exponential_class_counts(5000, 10, 100)
        [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    """
    max_count, num_classes = _check_profile(max_count, num_classes, imbalance_ratio)
    factor = 1.0 / imbalance_ratio
    last = max(num_classes - 1, 1)
    return [_floor(max_count * factor ** (index / last)) for index in range(num_classes)]


def step_class_counts(max_count: int, num_classes: int, imbalance_ratio: float) -> list[int]:
    """Class sizes of two levels: the first half full, the second half divided by the ratio.

    Args:
        max_count: images of each class of the first half, at least 1.
        num_classes: :math:`K`, at least 1.
        imbalance_ratio: largest over smallest class, at least 1 (100, never 0.01).

    Returns:
        ``K`` counts; with an odd ``K`` the class in the middle is full.

    Reference:
        Buda et al., 2018, with half of the classes as minority, as in Cao et al., NeurIPS 2019.
        Their released code returns one class too few when ``K`` is odd.

    Example:
        >>> step_class_counts(5000, 4, 100)
        [5000, 5000, 50, 50]
    """
    max_count, num_classes = _check_profile(max_count, num_classes, imbalance_ratio)
    minority = num_classes // 2
    small = _floor(max_count * (1.0 / imbalance_ratio))
    return [max_count] * (num_classes - minority) + [small] * minority


IMBALANCE_TYPES = {'exp': exponential_class_counts, 'step': step_class_counts}


def long_tail_indices(
    labels: Sequence[int] | npt.NDArray[Any], class_counts: Sequence[int], seed: int = 0
) -> npt.NDArray[np.int64]:
    """Positions of the images that make a data set long-tailed.

    For each class in order, its positions are shuffled by one running random stream, and the
    first ``class_counts[k]`` of them are kept.

    Args:
        labels: ``(N,)`` integer classes of the full set, in ``[0, K)``.
        class_counts: ``(K,)`` images to keep of each class, from 0 to what the class has.
        seed: of ``numpy.random.RandomState``, whose stream equals the global one after
            ``numpy.random.seed``. LDAM-DRW and BCL use 0, the ConCutMix code uses 10.

    Returns:
        ``(sum(class_counts),)`` int64 positions in ``labels``, class by class.

    Raises:
        ValueError: if labels or counts are no integers, or out of range.

    Reference:
        Cao et al., NeurIPS 2019: ``IMBALANCECIFAR10`` of the released code.

    Example:
        >>> long_tail_indices([0, 1, 0, 1, 0], [2, 1])
        array([4, 2, 1])
    """
    targets = np.asarray(labels)
    if targets.ndim != 1:
        raise refuse('labels', '(N,) integers', targets.shape)
    counts = _as_counts(class_counts)
    available = count_labels(targets, counts.size)
    for k in np.flatnonzero(counts > available)[:1]:
        raise ValueError(
            f'class_counts: expected at most {available[k]} images of class {k}, got {counts[k]}'
        )
    # One stable sort gives every class its positions in ascending order; a search per class
    # would cost K passes over the labels.
    by_class = np.split(np.argsort(targets, kind='stable'), np.cumsum(available)[:-1])
    stream = np.random.RandomState(check_integer('seed', seed, '[0, 4294967295]'))
    kept = []
    for positions, count in zip(by_class, counts, strict=True):
        stream.shuffle(positions)
        kept.append(positions[:count])
    return np.concatenate(kept).astype(np.int64)


def _floor(value: float) -> int:
    return math.floor(value * (1.0 + _ROUNDING_SLACK))


def _as_counts(counts: Sequence[int]) -> npt.NDArray[np.int64]:
    array = np.asarray(counts)
    if array.ndim != 1 or not array.size:
        raise refuse('class_counts', 'one number per class', array.shape)
    if not np.issubdtype(array.dtype, np.integer):
        raise refuse('class_counts', 'integers', array.dtype)
    if array.min() < 0:
        raise refuse('class_counts', 'at least 0', int(array.min()))
    return array.astype(np.int64)


def _check_profile(max_count: int, num_classes: int, imbalance_ratio: float) -> tuple[int, int]:
    check_number('imbalance_ratio', imbalance_ratio, '[1, inf)')
    return (
        check_integer('max_count', max_count, '[1, inf)'),
        check_integer('num_classes', num_classes, '[1, inf)'),
    )
