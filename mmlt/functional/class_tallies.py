r"""Three counts for each class, from which every per-class figure follows.

They take time linear in images and classes: no loop over either, and never a ``(K, K)`` matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ['ClassTallies', 'count_predictions', 'most_confused_with']

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ClassTallies:
    r"""What per-class figures are made of: three counts for each class.

    Args:
        targets: ``(K,)`` int64, images whose true class is ``k``.
        predicted: ``(K,)`` int64, images that were predicted as class ``k``.
        correct: ``(K,)`` int64, images of class ``k`` that were predicted as ``k``.

    Example:
        >>> tallies = count_predictions([0, 1, 1], [0, 0, 1], num_classes=2)
        >>> tallies.accuracy.round(2), tallies.precision, tallies.f1.round(2)
        (array([0.5, 1. ]), array([1. , 0.5]), array([0.67, 0.67]))
    """

    targets: IntArray
    predicted: IntArray
    correct: IntArray

    @property
    def accuracy(self) -> FloatArray:
        """Correct share of a class's images: its recall.

        Args:
            None.

        Returns:
            ``(K,)`` in [0, 1]; ``nan`` for a class without images.
        """
        return _ratio(self.correct, self.targets)

    @property
    def precision(self) -> FloatArray:
        """Correct share of the predictions of a class.

        Args:
            None.

        Returns:
            ``(K,)`` in [0, 1]; ``nan`` for a class that is never predicted.
        """
        return _ratio(self.correct, self.predicted)

    @property
    def f1(self) -> FloatArray:
        """Harmonic mean of precision and recall.

        Args:
            None.

        Returns:
            ``(K,)`` in [0, 1]; ``nan`` for a class without images.
        """
        f1 = _ratio(2 * self.correct, self.targets + self.predicted)
        return np.where(self.targets > 0, f1, np.nan)


def count_predictions(predictions: Any, targets: Any, num_classes: int) -> ClassTallies:
    """Tally predictions by class.

    Args:
        predictions: ``(N,)`` integers, array or CPU tensor; a negative one stands for "no
            prediction": wrong, and in no class's precision.
        targets: ``(N,)`` integers in ``[0, num_classes)``.
        num_classes: ``K``.

    Returns:
        Three ``(K,)`` counts.

    Raises:
        ValueError: if the lengths disagree or a label is out of range.
        TypeError: if a label is not an integer.

    Example:
        >>> count_predictions([0, 2, 2], [0, 1, 2], num_classes=3).correct
        array([1, 0, 1])
    """
    predictions, targets = _check_labels(predictions, targets, num_classes)
    return ClassTallies(
        targets=np.bincount(targets, minlength=num_classes),
        predicted=np.bincount(predictions[predictions >= 0], minlength=num_classes),
        correct=np.bincount(targets[predictions == targets], minlength=num_classes),
    )


def most_confused_with(predictions: Any, targets: Any, num_classes: int) -> IntArray:
    """For each true class, the wrong class that it is predicted as most often.

    Args:
        predictions: ``(N,)`` integers; negative: no prediction.
        targets: ``(N,)`` integers in ``[0, num_classes)``.
        num_classes: ``K``.

    Returns:
        ``(K,)`` int64; -1 for a class without a wrong prediction; the lower class index of
        several that are equally frequent.

    Raises:
        ValueError: if the lengths disagree or a label is out of range.
        TypeError: if a label is not an integer.

    Example:
        >>> most_confused_with([1, 2, 2, 1], [0, 0, 0, 1], num_classes=3)
        array([ 2, -1, -1])
    """
    predictions, targets = _check_labels(predictions, targets, num_classes)
    wrong = (predictions != targets) & (predictions >= 0)
    pairs, times = np.unique(targets[wrong] * num_classes + predictions[wrong], return_counts=True)
    true, predicted = np.divmod(pairs, num_classes)
    order = np.lexsort((predicted, -times, true))
    classes, first = np.unique(true[order], return_index=True)
    confused = np.full(num_classes, -1, dtype=np.int64)
    confused[classes] = predicted[order][first]
    return confused


def _ratio(numerator: IntArray, denominator: IntArray) -> FloatArray:
    result = np.full(denominator.shape, np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def _check_labels(predictions: Any, targets: Any, num_classes: int) -> tuple[IntArray, IntArray]:
    predictions, targets = np.asarray(predictions), np.asarray(targets)
    if targets.ndim != 1 or predictions.shape != targets.shape:
        raise ValueError(
            f'expected `predictions` and `targets` of one shape (N,), got {predictions.shape} '
            f'and {targets.shape}'
        )
    for name, labels, lowest in (('predictions', predictions, None), ('targets', targets, 0)):
        if not labels.size:
            continue
        if labels.dtype.kind not in 'iu':
            raise TypeError(f'`{name}` must be integers, got {labels.dtype}')
        if labels.max() >= num_classes or (lowest is not None and labels.min() < lowest):
            raise ValueError(
                f'`{name}` must lie in [0, {num_classes}), got values from {labels.min()} '
                f'to {labels.max()}'
            )
    return predictions.astype(np.int64), targets.astype(np.int64)
