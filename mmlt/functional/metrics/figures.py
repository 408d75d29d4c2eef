"""Accuracy per class, summed up: shot groups, worst class, means, macro F1, the paper's WR.

Accuracies are fractions in [0, 1], float64 in numpy; ``nan`` marks a class without test images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..checks import check_integer, check_number, refuse
from .tallies import FloatArray, count_predictions

__all__ = ['long_tail_figures', 'worst_class_ratio']


def _group_accuracies(per_class: FloatArray, groups: Mapping[str, Any]) -> dict[str, float]:
    """Mean of the per-class accuracies ``(K,)`` in each group of classes, a ``(K,)`` mask.

    A group without test images is left out; the code of Liu et al. (CVPR 2019) reports 0.
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


def worst_class_ratio(test_per_class: FloatArray, train_per_class: FloatArray) -> tuple[int, float]:
    """WR: test accuracy of the worst test class over the same class's training accuracy.

    Args:
        test_per_class: ``(K,)`` test accuracies, ``nan`` where a class has no test images.
        train_per_class: ``(K,)`` training accuracies of the same model.

    Returns:
        The class, of several that are equally bad the one learnt best in training, and its
        ratio: 1 if it generalises perfectly; ``nan`` if its training accuracy is 0 or unknown.

    Reference:
        Zhu et al., CAR, CVPR 2026, the ratio reported beside the worst-class accuracy.

    Example:
        >>> worst_class_ratio(np.array([0.9, 0.2]), np.array([1.0, 0.8]))
        (1, 0.25)
    """
    if test_per_class.shape != train_per_class.shape:
        raise refuse('train_per_class', f'shape {test_per_class.shape}', train_per_class.shape)
    if not _tested(test_per_class).size:
        raise ValueError('test_per_class: expected a class with test images, got none')
    lowest = float(np.nanmin(test_per_class))
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
    topk: int | Sequence[int] = (1, 5),
    floor: float = 0.0,
) -> dict[str, float]:
    """Top-k accuracy, accuracy by shot group, worst class, means over classes and macro F1.

    A class without test images is left out of all of them. The harmonic and the geometric mean
    are 0 as soon as one class is never recognised.

    Args:
        ranked_predictions: ``(N, M)`` integers, best first; negative: no prediction, wrong.
        targets: ``(N,)`` integers in ``[0, num_classes)``.
        num_classes: ``K``.
        groups: name -> ``(K,)`` bool, for instance from
            :func:`~mmlt.functional.counts.shot_groups`; reported as ``<name>_shot``.
        topk: which top-k accuracies; one that exceeds ``M`` is left out. ``top1`` is always
            reported.
        floor: accuracies below are raised to this value in the harmonic and the geometric mean, so
            that one lost class does not hide all others; a small number such as 0.001.

    Returns:
        Name -> fraction in [0, 1].

    Raises:
        ValueError: without images, if shapes disagree or a label is not in range.

    Example:
        >>> figures = long_tail_figures([[0, 1], [0, 1]], [0, 1], 2, {'few': [False, True]})
        >>> figures['top1'], figures['few_shot'], figures['worst_class']
        (0.5, 0.0, 0.0)
    """
    check_number('floor', floor, '[0, 1)')
    listed = topk if isinstance(topk, (list, tuple)) else [topk]
    ks = [check_integer('topk', k, '[1, inf)') for k in listed]
    ranked = np.asarray(ranked_predictions)
    if ranked.ndim != 2 or not ranked.size:
        expected = '(N, M) with at least one image and one prediction'
        raise refuse('ranked_predictions', expected, ranked.shape)
    tallies = count_predictions(ranked[:, 0], targets, num_classes)
    accuracy = tallies.accuracy
    shots = _group_accuracies(accuracy, groups or {})
    right = ranked == np.asarray(targets)[:, None]
    top = {k: right[:, :k].any(axis=1).mean() for k in sorted({1, *ks}) if k <= right.shape[1]}
    raised = np.maximum(_tested(accuracy), floor)
    with np.errstate(divide='ignore'):  # 1 / 0 and log 0 are infinite, and the means 0
        harmonic, geometric = 1 / np.mean(1 / raised), np.exp(np.log(raised).mean())
    return {
        **{f'top{k}': float(share) for k, share in top.items()},
        **{f'{name}_shot': value for name, value in shots.items()},
        'worst_class': float(np.nanmin(accuracy)),
        'harmonic_mean': float(harmonic),
        'geometric_mean': float(geometric),
        'macro_f1': float(_tested(tallies.f1).mean()),
    }
