r"""The figures by which long-tailed classifiers are compared, from predictions and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .accuracy import (
    geometric_mean,
    group_accuracies,
    harmonic_mean,
    macro_f1,
    topk_accuracy,
    worst_class,
)
from .class_tallies import count_predictions

__all__ = ['long_tail_figures']


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
        floor: see :func:`~mmlt.functional.accuracy.harmonic_mean`.

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
        raise ValueError(
            'long_tail_figures: expected `ranked_predictions` of shape (N, M) with '
            f'at least one image and one prediction, got {ranked.shape}'
        )
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
