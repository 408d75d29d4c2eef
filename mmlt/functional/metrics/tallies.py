"""Predictions counted by class, and by true and predicted class.

Every per-class figure follows from three counts for each class (:class:`ClassTallies`), which take
time linear in images and classes; which class is taken for which needs the ``(K, K)`` matrix.
In all functions ``predictions`` are ``(N,)`` integers, array or CPU tensor, of which a negative one
stands for "no prediction", and ``targets`` are ``(N,)`` integers in ``[0, num_classes)``; other
labels are a ``ValueError``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..checks import check_integer, refuse
from ..confusion.soft import top_confused_pairs

__all__ = [
    'ClassTallies',
    'GroupConfusion',
    'count_predictions',
    'error_rates',
    'group_confusion',
    'hard_confusion',
    'most_confused_with',
    'top_error_pairs',
]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ClassTallies:
    """What per-class figures are made of: three counts for each class.

    Args:
        targets: ``(K,)`` int64, images whose true class is ``k``.
        predicted: ``(K,)`` int64, images that were predicted as class ``k``.
        correct: ``(K,)`` int64, images of class ``k`` that were predicted as ``k``.
    """

    targets: IntArray
    predicted: IntArray
    correct: IntArray

    @property
    def accuracy(self) -> FloatArray:
        """Correct share of a class's images, its recall.

        Returns:
            ``(K,)`` in [0, 1]; ``nan`` for a class without images.
        """
        return _ratio(self.correct, self.targets)

    @property
    def precision(self) -> FloatArray:
        """Correct share of the predictions of a class.

        Returns:
            ``(K,)`` in [0, 1]; ``nan`` for a class that is never predicted.
        """
        return _ratio(self.correct, self.predicted)

    @property
    def f1(self) -> FloatArray:
        """Harmonic mean of precision and recall.

        Returns:
            ``(K,)`` in [0, 1]; ``nan`` for a class without images.
        """
        f1 = _ratio(2 * self.correct, self.targets + self.predicted)
        return np.where(self.targets > 0, f1, np.nan)


def count_predictions(predictions: Any, targets: Any, num_classes: int) -> ClassTallies:
    """Tally predictions by class.

    Args:
        predictions: ``(N,)``; a negative one is wrong, and in no class's precision.
        targets: ``(N,)``.
        num_classes: ``K``.

    Returns:
        Three ``(K,)`` counts.

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
        predictions: ``(N,)``.
        targets: ``(N,)``.
        num_classes: ``K``.

    Returns:
        ``(K,)`` int64; -1 for a class without a wrong prediction; the lower class index of
        several that are equally frequent.

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


def _check_labels(predictions: Any, targets: Any, num_classes: int) -> tuple[IntArray, IntArray]:
    check_integer('num_classes', num_classes, '[1, inf)')
    predictions, targets = np.asarray(predictions), np.asarray(targets)
    if targets.ndim != 1 or predictions.shape != targets.shape:
        shapes = predictions.shape, targets.shape
        raise refuse('predictions, targets', 'one shape (N,)', shapes)
    for name, labels, lowest in (('predictions', predictions, -np.inf), ('targets', targets, 0)):
        if labels.size and labels.dtype.kind not in 'iu':
            raise refuse(name, 'integers', labels.dtype)
        if labels.size and not lowest <= labels.min() <= labels.max() < num_classes:
            got = f'{labels.min()} .. {labels.max()}'
            raise refuse(name, f'classes in [0, {num_classes})', got)
    return predictions.astype(np.int64), targets.astype(np.int64)


@dataclass(frozen=True)
class GroupConfusion:
    """Where the images of each group of classes end up.

    Args:
        names: the ``G`` groups.
        images: ``(G,)`` int64, images whose true class is in the group.
        right: ``(G,)`` share of these images that got their true class.
        wrong: ``(G, G)``, ``wrong[true, predicted]``: share that got a wrong class, by the group
            of that class. ``right`` and a row of ``wrong`` sum to 1; both are ``nan`` for a group
            without images.
    """

    names: tuple[str, ...]
    images: IntArray
    right: FloatArray
    wrong: FloatArray


def hard_confusion(predictions: Any, targets: Any, num_classes: int) -> IntArray:
    """Count images by true and predicted class.

    Args:
        predictions: ``(N,)``; an image without a prediction is not counted.
        targets: ``(N,)``.
        num_classes: ``K``.

    Returns:
        ``(K, K)``, ``confusion[true, predicted]``.

    Example:
        >>> hard_confusion([0, 1, 1, -1], [0, 0, 1, 1], num_classes=2)
        array([[1, 1],
               [0, 1]])
    """
    predicted, true = _check_labels(predictions, targets, num_classes)
    counted = predicted >= 0
    codes = true[counted] * num_classes + predicted[counted]
    return np.bincount(codes, minlength=num_classes**2).reshape(num_classes, num_classes)


def group_confusion(confusion: IntArray, groups: Mapping[str, Any]) -> GroupConfusion:
    """Sum a confusion matrix up by groups of classes, right and wrong images apart.

    A wrong class within the image's own group is a wrong prediction like any other, which the
    diagonal of a plain ``(G, G)`` sum would hide.

    Args:
        confusion: ``(K, K)`` counts.
        groups: name -> ``(K,)`` bool, a partition of the classes (else a ``ValueError``), for
            instance from :func:`~mmlt.functional.counts.shot_groups`.

    Returns:
        Shares of the images of each group.

    Example:
        >>> group_confusion(np.array([[3, 1], [2, 2]]), {'head': [1, 0], 'tail': [0, 1]}).wrong
        array([[0.  , 0.25],
               [0.5 , 0.  ]])
    """
    _check_square(confusion)
    masks = [np.asarray(mask, dtype=bool) for mask in groups.values()]
    if any(mask.shape != confusion.shape[:1] for mask in masks):
        shapes = [mask.shape for mask in masks]
        raise refuse('groups', f'masks of shape {confusion.shape[:1]}', shapes)
    members = np.array(masks, dtype=np.int64).reshape(len(masks), len(confusion))
    others = np.flatnonzero(members.sum(axis=0) != 1)[:10].tolist()
    if others:
        raise refuse('groups', 'each class in exactly one group', f'none or several for {others}')
    right = members @ confusion.diagonal()
    images = members @ confusion.sum(axis=1)
    wrong = members @ confusion @ members.T - np.diag(right)
    return GroupConfusion(
        tuple(groups), images, _ratio(right, images), _ratio(wrong, images[:, None])
    )


def error_rates(confusion: IntArray) -> FloatArray:
    """Share of each true class's images that got a certain wrong class.

    Args:
        confusion: ``(K, K)`` counts.

    Returns:
        ``(K, K)``; 0 on the diagonal, and in the row of a class without images.
    """
    _check_square(confusion)
    images = confusion.sum(axis=1, keepdims=True)
    rates: FloatArray = confusion / np.maximum(images, 1)
    np.fill_diagonal(rates, 0.0)
    return rates


def top_error_pairs(confusion: IntArray, count: int) -> tuple[IntArray, IntArray, FloatArray]:
    """The entries of a confusion matrix with the largest error rates.

    The rate is a share of the true class's images, so that classes with many test images do not
    dominate the list.

    Args:
        confusion: ``(K, K)`` counts.
        count: how many, at least 1; fewer come back where fewer classes were confused at all.

    Returns:
        True classes, predicted classes and rates, each ``(count,)``, largest first; which of
        equal rates come first, or make it into the list, is not defined.

    Example:
        >>> top_error_pairs(np.array([[3, 1], [2, 2]]), 5)
        (array([1, 0]), array([0, 1]), array([0.5 , 0.25]))
    """
    check_integer('count', count, '[1, inf)')
    found = top_confused_pairs(torch.from_numpy(error_rates(confusion)), count)
    true, predicted, rates = (part.numpy() for part in found)
    confused = rates > 0
    return true[confused], predicted[confused], rates[confused]


def _ratio(part: IntArray, whole: IntArray) -> FloatArray:
    """``part / whole``, ``nan`` where there is nothing to divide by."""
    ratio = np.full(part.shape, np.nan)
    np.divide(part, whole, out=ratio, where=np.broadcast_to(whole > 0, part.shape))
    return ratio


def _check_square(confusion: IntArray) -> None:
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
        raise refuse('confusion', 'shape (K, K)', confusion.shape)
