"""The imbalance that a data set may be asked to impose on itself."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from mmengine.logging import print_log

from mmlt.functional.class_statistics import count_labels
from mmlt.functional.imbalance import imbalanced_class_counts, long_tail_indices

from .labels import Labels

__all__ = ['Imbalance']


@dataclass(frozen=True)
class Imbalance:
    """An imbalance to impose on a data set, or none.

    Args:
        ratio: largest over smallest class, at least 1; ``None`` keeps every image.
        kind: ``'exp'`` or ``'step'``.
        max_count: images of the largest class; ``None``: as many as the largest class has.
        seed: which images are kept.

    Raises:
        ValueError: if an option is out of range.

    Reference: Cao et al., NeurIPS 2019.

    Example:
        >>> Imbalance(ratio=2).positions(np.array([0, 0, 1, 1]), num_classes=2)
        array([1, 0, 2])
    """

    ratio: float | None = None
    kind: str = 'exp'
    max_count: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the options now, not after minutes of reading lists."""
        ratio = 1 if self.ratio is None else self.ratio
        imbalanced_class_counts([1], ratio, self.kind, self.max_count)

    def positions(self, labels: Labels, num_classes: int) -> Labels:
        """Positions to keep, class by class; all of them in their order without a ratio.

        A class that has fewer images than the profile gives it keeps all, and the log says so.

        Args:
            labels: ``(N,)`` classes.
            num_classes: ``K``.

        Returns:
            ``(M,)`` int64 positions in ``labels``.
        """
        if self.ratio is None:
            return np.arange(labels.size)
        available = count_labels(labels, num_classes)
        largest = self.max_count or max(*available, 1)
        wanted = imbalanced_class_counts([largest] * num_classes, self.ratio, self.kind)
        kept = [min(profile, there) for profile, there in zip(wanted, available, strict=True)]
        short = [k for k in range(num_classes) if kept[k] < wanted[k]]
        if short:
            k = short[0]
            print_log(
                f'{len(short)} of {num_classes} classes have fewer images than an imbalance ratio '
                f'of {self.ratio} gives them, and keep all they have '
                f'(class {k}: {kept[k]} instead of {wanted[k]})',
                logger='current',
                level=logging.WARNING,
            )
        return long_tail_indices(labels, kept, self.seed)
