"""Handwritten digits, made long-tailed: a data set that needs no download."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmpretrain.registry import DATASETS

from mmlt.functional.counts import count_labels
from mmlt.functional.imbalance import long_tail_indices

from .long_tail import LongTailMixin

__all__ = ['DigitsLT']

_NUM_CLASSES = 10
_BRIGHTEST = 16  # scikit-learn's digits have grey levels from 0 to 16


@DATASETS.register_module()
class DigitsLT(LongTailMixin):
    """Scikit-learn's bundled digits, 8 x 8 pixels, with an imbalanced training split.

    Images are uint8 ``(8, 8, 3)`` with three equal channels, so that stock transforms and
    networks take them.

    Args:
        split: ``'train'`` or ``'test'``. The test split has ``test_per_class`` images of every
            digit and shares none with the training split.
        imbalance_ratio: largest over smallest training class; ``None``: ``max_count`` of each.
        imbalance_type: ``'exp'`` or ``'step'``.
        max_count: training images of the largest class, at most 110 with 60 test images.
        test_per_class: test images of each digit.
        seed: of the split and of the imbalance.
        **kwargs: other options of ``mmpretrain.datasets.BaseDataset``.

    Raises:
        ImportError: if scikit-learn is not installed.
        ValueError: if an option is out of range.

    Example:
        >>> train = DigitsLT()
        >>> train.metainfo['class_counts']
        [110, 71, 46, 29, 19, 12, 8, 5, 3, 2]
        >>> train[0]['img'].shape
        (8, 8, 3)
    """

    METAINFO = {'classes': tuple(str(digit) for digit in range(_NUM_CLASSES))}

    def __init__(
        self,
        split: str = 'train',
        imbalance_ratio: float | None = 50,
        max_count: int = 110,
        test_per_class: int = 60,
        seed: int = 0,
        ann_file: str = '',
        **kwargs: Any,
    ) -> None:
        if split not in ('train', 'test'):
            raise ValueError(f"split must be 'train' or 'test', got {split!r}")
        if test_per_class < 1:
            raise ValueError(f'test_per_class must be at least 1, got {test_per_class}')
        if ann_file:
            raise ValueError(f'the digits come without an annotation file, got {ann_file=}')
        self.split = split
        self.pool_per_class = max_count
        self.test_per_class = test_per_class
        super().__init__(
            ann_file='',
            imbalance_ratio=imbalance_ratio if split == 'train' else None,
            max_count=max_count,
            seed=seed,
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Draw the split: the test images, or the pool that the imbalance thins out."""
        images, labels = _read_digits()
        smallest = min(count_labels(labels, _NUM_CLASSES))
        if self.test_per_class + self.pool_per_class > smallest:
            raise ValueError(
                f'test_per_class + max_count must be at most {smallest} (the images of the rarest '
                f'digit), got {self.test_per_class} + {self.pool_per_class}'
            )
        # Per digit, in shuffled order: first the test images, then the pool for training.
        per_class = self.test_per_class + self.pool_per_class
        drawn = long_tail_indices(labels, [per_class] * _NUM_CLASSES, self.imbalance.seed)
        drawn = drawn.reshape(_NUM_CLASSES, per_class)
        cut = self.test_per_class
        chosen = drawn[:, :cut] if self.split == 'test' else drawn[:, cut:]
        return [{'img': images[i], 'gt_label': int(labels[i])} for i in chosen.ravel()]


def _read_digits() -> tuple[np.ndarray, np.ndarray]:
    """``(1797, 8, 8, 3)`` uint8 images and ``(1797,)`` labels."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError('DigitsLT needs scikit-learn: pip install scikit-learn') from error
    digits = load_digits()
    grey = np.rint(digits.images * (255 / _BRIGHTEST)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1), digits.target.astype(np.int64)
