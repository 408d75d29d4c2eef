r"""The law of confusion pairs: which two classes to mix, drawn from counts of training errors.

Of the ``(K, K)`` counts only the entries that are not zero are kept, sorted by class, so that the
law of 8,142 classes costs what its recorded errors cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from .sampling import draw_classes

__all__ = ['ConfusionLaw', 'confusion_law', 'draw_confusion_pairs', 'draw_partner_classes']

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ConfusionLaw:
    r"""Weighted pairs of classes, sorted by the first.

    Args:
        true: ``(E,)`` int64, true class of each pair, ascending.
        predicted: ``(E,)`` int64, the class that it was taken for.
        cumulative: ``(E + 1,)`` float64, running sum of the pairs' weights, from 0.
        row_ends: ``(K + 1,)`` int64: the pairs of true class ``k`` are
            ``row_ends[k] .. row_ends[k + 1] - 1``.

    Example:
        >>> law = confusion_law([[9, 2], [1, 9]], class_counts=[10, 10])
        >>> law.true, law.predicted, law.cumulative
        (array([0, 1]), array([1, 0]), array([0., 2., 3.]))
    """

    true: IntArray
    predicted: IntArray
    cumulative: FloatArray
    row_ends: IntArray

    def symmetrised(self) -> ConfusionLaw:
        """The law with each pair in both directions: ``counts[i, j] + counts[j, i]``.

        Args:
            None.

        Returns:
            A law of the same classes.
        """
        weights = np.diff(self.cumulative)
        return _sorted_law(
            np.concatenate([self.true, self.predicted]),
            np.concatenate([self.predicted, self.true]),
            np.concatenate([weights, weights]),
            len(self.row_ends) - 1,
        )


def confusion_law(
    counts: Tensor | NDArray[Any] | ArrayLike, class_counts: ArrayLike, normalize: bool = False
) -> ConfusionLaw:
    r"""Law of the confusion pairs in a matrix of counts.

    Args:
        counts: ``confusion[true, predicted]``, ``(K, K)``, non-negative, correct predictions on the
            diagonal: array, dense or sparse CPU tensor. Left as it is, and not copied. Correct
            predictions and classes without training images make no pair.
        class_counts: ``(K,)`` training images per class.
        normalize: divide each row by its sum, the diagonal included. The law then follows the
            error rates, and the head classes, which make most errors by their number alone, do
            not own it.

    Returns:
        The law; without any pair if no error is recorded.

    Raises:
        TypeError: if ``counts`` lies on another device than the CPU.
        ValueError: if the shapes disagree, or a count is negative or not finite.

    Reference:
        CP-Mix (Yoon et al., arXiv 2411.07621): the multiset of confusion pairs of an epoch. The
        normalisation is this project's option.

    Example:
        >>> law = confusion_law([[8, 2], [1, 0]], class_counts=[10, 1], normalize=True)
        >>> law.cumulative
        array([0. , 0.2, 1.2])
    """
    images = np.asarray(class_counts, dtype=np.int64)
    true, predicted, weights = _nonzero_entries(counts, len(images))
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError('counts: expected finite numbers of at least 0')
    if normalize:
        weights = weights / np.bincount(true, weights, minlength=len(images))[true]
    kept = (true != predicted) & (images[true] > 0) & (images[predicted] > 0)
    true, predicted, weights = true[kept], predicted[kept], weights[kept]
    return _sorted_law(true, predicted, weights, len(images))


def draw_confusion_pairs(
    law: ConfusionLaw, size: int, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Independent pairs of classes from the law.

    Args:
        law: with at least one pair.
        size: number of pairs.
        rng: source of randomness.

    Returns:
        True classes and predicted classes, ``(size,)`` each.

    Raises:
        ValueError: if the law has no pair.

    Example:
        >>> law = confusion_law([[9, 2], [0, 9]], class_counts=[10, 10])
        >>> draw_confusion_pairs(law, 2, np.random.default_rng(0))
        (array([0, 0]), array([1, 1]))
    """
    if not len(law.true):
        raise ValueError('law: no confusion pair is recorded')
    pairs = draw_classes(np.diff(law.cumulative), size, rng)
    return law.true[pairs], law.predicted[pairs]


def draw_partner_classes(
    law: ConfusionLaw, anchor_classes: NDArray[Any], fallback: ArrayLike, rng: np.random.Generator
) -> IntArray:
    """For each anchor a class from its row of the law.

    Args:
        law: usually ``confusion_law(...).symmetrised()``.
        anchor_classes: ``(n,)`` classes of the anchors.
        fallback: ``(K,)`` class law for anchors whose row has no pair.
        rng: source of randomness; the number of draws does not depend on the law.

    Returns:
        ``(n,)`` int64.

    Example:
        >>> law = confusion_law([[9, 2], [0, 9]], class_counts=[10, 10]).symmetrised()
        >>> draw_partner_classes(law, np.array([0, 1]), [1., 1.], np.random.default_rng(0))
        array([1, 0])
    """
    anchor_classes = np.asarray(anchor_classes, dtype=np.int64)
    partners = draw_classes(fallback, len(anchor_classes), rng)
    uniform = rng.random(len(anchor_classes))
    first, end = law.row_ends[anchor_classes], law.row_ends[anchor_classes + 1]
    recorded = end > first
    first, end = first[recorded], end[recorded]
    low, high = law.cumulative[first], law.cumulative[end]
    pairs = (
        np.searchsorted(law.cumulative, low + uniform[recorded] * (high - low), side='right') - 1
    )
    # Rounding may reach the next row's first pair.
    partners[recorded] = law.predicted[pairs.clip(first, end - 1)]
    return partners


def _nonzero_entries(counts: Any, num_classes: int) -> tuple[IntArray, IntArray, FloatArray]:
    if isinstance(counts, Tensor):
        if counts.device.type != 'cpu':
            raise TypeError(f'counts: expected a CPU tensor, got one on {counts.device}')
        counts = counts.detach()
    else:
        counts = np.asarray(counts)
    if tuple(counts.shape) != (num_classes, num_classes):
        raise ValueError(
            f'counts: expected shape {(num_classes, num_classes)} for {num_classes} classes, '
            f'got {tuple(counts.shape)}'
        )
    if isinstance(counts, Tensor) and counts.layout != torch.strided:
        entries = counts.to_sparse().coalesce()
        true, predicted = entries.indices().numpy()
        return true, predicted, entries.values().numpy().astype(np.float64)
    dense = counts.numpy() if isinstance(counts, Tensor) else counts
    true, predicted = np.nonzero(dense)
    return true, predicted, dense[true, predicted].astype(np.float64)


def _sorted_law(
    true: IntArray, predicted: IntArray, weights: FloatArray, num_classes: int
) -> ConfusionLaw:
    recorded = weights > 0
    true, predicted, weights = true[recorded], predicted[recorded], weights[recorded]
    # Two bytes a key make numpy sort by radix, in linear time.
    keys = true.astype(np.uint16) if num_classes <= 2**16 else true
    order = np.argsort(keys, kind='stable')
    row_ends = np.concatenate([[0], np.cumsum(np.bincount(true, minlength=num_classes))])
    return ConfusionLaw(
        true[order], predicted[order], np.concatenate([[0.0], np.cumsum(weights[order])]), row_ends
    )
