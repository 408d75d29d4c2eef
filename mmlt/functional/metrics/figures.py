r"""Accuracy per class, and the figures that sum it up: shot groups, worst class, means, macro F1.

Accuracies are fractions in [0, 1], float64 in numpy; ``nan`` marks a class without test
images, which every figure leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..checks import refuse
from .tallies import ClassTallies, FloatArray, count_predictions

__all__ = [
    'geometric_mean',
    'group_accuracies',
    'harmonic_mean',
    'long_tail_figures',
    'macro_f1',
    'topk_accuracy',
    'worst_class',
    'worst_class_ratio',
]


def topk_accuracy(ranked_predictions: Any, targets: Any, k: int) -> float:
    """Share of images whose true class is among the first ``k`` predictions.

    Args:
        ranked_predictions: ``(N, M)`` integers, best first, ``M >= k``.
        targets: ``(N,)`` integers.
        k: how many predictions count, at least 1.

    Returns:
        A fraction in [0, 1]; ``nan`` without images.

    Raises:
        ValueError: if the shapes do not fit.

    Example:
        >>> topk_accuracy([[0, 2], [1, 0]], [2, 1], k=1), topk_accuracy([[0, 2], [1, 0]], [2, 1], 2)
        (0.5, 1.0)
    """
    ranked, targets = np.asarray(ranked_predictions), np.asarray(targets)
    if ranked.ndim != 2 or targets.shape != ranked.shape[:1] or not 1 <= k <= ranked.shape[1]:
        raise ValueError(
            'ranked_predictions, targets, k: expected (N, M), (N,) and 1 <= k <= M, got '
            f'{ranked.shape}, {targets.shape} and k={k}'
        )
    if not len(targets):
        return float('nan')
    return float((ranked[:, :k] == targets[:, None]).any(axis=1).mean())


def group_accuracies(per_class: FloatArray, groups: Mapping[str, Any]) -> dict[str, float]:
    """Mean of the per-class accuracies in each group of classes.

    Args:
        per_class: ``(K,)`` accuracies, ``nan`` where a class has no test images.
        groups: name -> ``(K,)`` bool, for instance from
            :func:`~mmlt.functional.counts.shot_groups`.

    Returns:
        name -> mean over the group's classes that have test images. A group without any is
        left out.

    Raises:
        ValueError: if a mask has another shape than ``per_class``.

    Reference:
        Liu et al., "Large-Scale Long-Tailed Recognition in an Open World", CVPR 2019, many,
        medium and few shot accuracy; their code reports 0 for an empty group.

    Example:
        >>> group_accuracies(np.array([1.0, 0.5, np.nan]), {'many': [1, 1, 0], 'few': [0, 0, 1]})
        {'many': 0.75}
    """
    means = {}
    for name, mask in groups.items():
        mask = np.asarray(mask, dtype=bool)
        if mask.shape != per_class.shape:
            raise refuse(f'groups[{name!r}]', f'shape {per_class.shape}', mask.shape)
        values = _tested(per_class[mask])
        if values.size:
            means[name] = float(values.mean())
    return means


def worst_class(per_class: FloatArray) -> tuple[int, float]:
    """The class with the lowest accuracy; the first one of several.

    Args:
        per_class: ``(K,)`` accuracies, ``nan`` where a class has no test images.

    Returns:
        Its index and its accuracy.

    Raises:
        ValueError: if no class has test images.

    Example:
        >>> worst_class(np.array([0.9, np.nan, 0.2]))
        (2, 0.2)
    """
    if not _tested(per_class).size:
        raise ValueError('per_class: expected a class with test images, got none')
    index = int(np.nanargmin(per_class))
    return index, float(per_class[index])


def harmonic_mean(per_class: FloatArray, floor: float = 0.0) -> float:
    """Harmonic mean of the per-class accuracies: 0 as soon as one class is never recognised.

    Args:
        per_class: ``(K,)`` accuracies, ``nan`` where a class has no test images.
        floor: accuracies below are raised to this value, so that one lost class does not hide
            all others; a small number such as 0.001.

    Returns:
        A fraction in [0, 1]; ``nan`` without any class.

    Example:
        >>> round(harmonic_mean(np.array([1.0, 0.5])), 3), harmonic_mean(np.array([1.0, 0.0]))
        (0.667, 0.0)
    """
    values = np.maximum(_tested(per_class), floor)
    if not values.size:
        return float('nan')
    return 0.0 if values.min() <= 0 else float(1 / np.mean(1 / values))


def geometric_mean(per_class: FloatArray, floor: float = 0.0) -> float:
    """Geometric mean of the per-class accuracies: 0 as soon as one class is never recognised.

    Args:
        per_class: ``(K,)`` accuracies, ``nan`` where a class has no test images.
        floor: accuracies below are raised to this value; see :func:`harmonic_mean`.

    Returns:
        A fraction in [0, 1]; ``nan`` without any class.

    Example:
        >>> round(geometric_mean(np.array([1.0, 0.25])), 3)
        0.5
    """
    values = np.maximum(_tested(per_class), floor)
    if not values.size:
        return float('nan')
    return 0.0 if values.min() <= 0 else float(np.exp(np.log(values).mean()))


def macro_f1(tallies: ClassTallies) -> float:
    """Mean of the per-class F1 scores over the classes that have test images.

    Args:
        tallies: counts from :func:`count_predictions`.

    Returns:
        A fraction in [0, 1]; ``nan`` without any class.

    Example:
        >>> round(macro_f1(count_predictions([0, 1, 1], [0, 0, 1], num_classes=2)), 3)
        0.667
    """
    values = _tested(tallies.f1)
    return float(values.mean()) if values.size else float('nan')


def worst_class_ratio(test_per_class: FloatArray, train_per_class: FloatArray) -> tuple[int, float]:
    """WR: test accuracy of the worst test class over the same class's training accuracy.

    Args:
        test_per_class: ``(K,)`` test accuracies, ``nan`` where a class has no test images.
        train_per_class: ``(K,)`` training accuracies of the same model.

    Returns:
        The class, of several that are equally bad the one learnt best in training, and its
        ratio: 1 if it generalises perfectly; ``nan`` if its training accuracy is 0 or unknown.

    Raises:
        ValueError: if the shapes disagree or no class has test images.

    Reference:
        Zhu et al., CAR, CVPR 2026, the ratio reported beside the worst-class accuracy.

    Example:
        >>> worst_class_ratio(np.array([0.9, 0.2]), np.array([1.0, 0.8]))
        (1, 0.25)
    """
    if test_per_class.shape != train_per_class.shape:
        raise refuse('train_per_class', f'shape {test_per_class.shape}', train_per_class.shape)
    lowest = worst_class(test_per_class)[1]
    trained = np.where(test_per_class == lowest, np.nan_to_num(train_per_class), -1.0)
    index = int(trained.argmax())
    return index, lowest / float(trained[index]) if trained[index] > 0 else float('nan')


def _tested(per_class: FloatArray) -> FloatArray:
    """Drops the classes without test images."""
    return per_class[~np.isnan(per_class)]


def long_tail_figures(
    ranked_predictions: Any,
    targets: Any,
    num_classes: int,
    groups: Mapping[str, Any] | None = None,
    topk: Sequence[int] = (1, 5),
    floor: float = 0.0,
) -> dict[str, float]:
    """Top-k accuracy, accuracy by shot group, worst class, means over classes and macro F1.

    Args:
        ranked_predictions: ``(N, M)`` integers, best first; negative: no prediction, wrong.
        targets: ``(N,)`` integers in ``[0, num_classes)``.
        num_classes: ``K``.
        groups: name -> ``(K,)`` bool; reported as ``<name>_shot`` where the group has test
            images.
        topk: which top-k accuracies; one that exceeds ``M`` is left out. ``top1`` is always
            reported.
        floor: see :func:`~mmlt.functional.metrics.figures.harmonic_mean`.

    Returns:
        Name -> fraction in [0, 1].

    Raises:
        ValueError: without images, if shapes disagree or a label is out of range.

    Example:
        >>> figures = long_tail_figures([[0, 1], [0, 1]], [0, 1], 2, {'few': [False, True]})
        >>> figures['top1'], figures['few_shot'], figures['worst_class']
        (0.5, 0.0, 0.0)
    """
    ranked = np.asarray(ranked_predictions)
    if ranked.ndim != 2 or not ranked.size:
        expected = '(N, M) with at least one image and one prediction'
        raise refuse('ranked_predictions', expected, ranked.shape)
    tallies = count_predictions(ranked[:, 0], targets, num_classes)
    accuracy = tallies.accuracy
    shots = group_accuracies(accuracy, groups or {})
    return {
        **{
            f'top{k}': topk_accuracy(ranked, targets, k)
            for k in sorted({1, *topk})
            if k <= ranked.shape[1]
        },
        **{f'{name}_shot': value for name, value in shots.items()},
        'worst_class': worst_class(accuracy)[1],
        'harmonic_mean': harmonic_mean(accuracy, floor),
        'geometric_mean': geometric_mean(accuracy, floor),
        'macro_f1': macro_f1(tallies),
    }
