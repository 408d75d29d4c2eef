"""What an evaluation could not report, in words for the log."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmlt.functional.class_tallies import ClassTallies

__all__ = ['describe_omissions']


def describe_omissions(
    tallies: ClassTallies, ranked: NDArray[np.int32], topk: Sequence[int], has_class_counts: bool
) -> list[str]:
    """Sentences about the figures, classes and images that are left out.

    Args:
        tallies: counts per class.
        ranked: ``(N, M)`` predictions, best first; -1 where the scores were not numbers.
        topk: the top-k accuracies that were asked for.
        has_class_counts: whether the training counts are known.

    Returns:
        One sentence each; empty if nothing is missing.

    Example:
        >>> from mmlt.functional.class_tallies import count_predictions
        >>> describe_omissions(count_predictions([0], [0], 2), np.array([[0]]), (1,), True)
        ['1 of 2 classes have no test images and are left out of the per-class figures: 1']
    """
    notes = []
    if not has_class_counts:
        notes.append(
            'no training class counts: many_shot, medium_shot and few_shot are left out. Add '
            "dict(type='ClassCountsHook') to `custom_hooks`; it takes the counts from the "
            'training set, or from the checkpoint at test'
        )
    num_classes = len(tallies.targets)
    untested = np.flatnonzero(tallies.targets == 0)
    if len(untested):
        shown = ', '.join(str(index) for index in untested[:10])
        notes.append(
            f'{len(untested)} of {num_classes} classes have no test images and are left out of '
            f'the per-class figures: {shown}{", ..." if len(untested) > 10 else ""}'
        )
    too_large = [f'top{k}' for k in topk if k > ranked.shape[1]]
    if too_large:
        reason = (
            f'there are only {num_classes} classes'
            if ranked.shape[1] == num_classes
            else 'the model gives labels without scores'
        )
        notes.append(f'{", ".join(too_large)} left out: {reason}')
    lost = int((ranked[:, 0] < 0).sum())
    if lost:
        notes.append(
            f'{lost} of {len(ranked)} images have scores that are not numbers; they count as wrong'
        )
    return notes
