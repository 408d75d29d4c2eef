"""Handwritten digits, made long-tailed: a data set that needs no download."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmpretrain.registry import DATASETS

from mmlt.functional.checks import check_choice, check_integer
from mmlt.functional.imbalance import long_tail_indices

from .long_tail import LongTailMixin

__all__ = ['DigitsLT']

_NUM_CLASSES = 10
_TEST_IMAGES = 60  # of each digit; the rarest one has 174


@DATASETS.register_module()
class DigitsLT(LongTailMixin):
    """Scikit-learn's bundled digits, 8 x 8 pixels, with an imbalanced training split.

    Images are uint8 ``(8, 8, 3)`` with three equal channels, so that stock transforms and
    networks take them.

    Args:
        split: ``'train'`` or ``'test'``, 60 images of every digit that are not for training.
        imbalance_ratio: largest over smallest training class, at least 1; ``None``:
            ``max_count`` of each. Without effect on the test split.
        imbalance_type: ``'exp'`` or ``'step'``.
        max_count: training images of the largest class, at most 114.
        seed: of the split and of the imbalance, in ``[0, 2**32)``.
        **kwargs: other options of ``mmpretrain.datasets.BaseDataset``.

    Raises:
        ImportError: if scikit-learn is not installed.
        ValueError: if an option is out of range.

    Example:
        >>> train = DigitsLT()
        >>> train.class_counts
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
        **kwargs: Any,
    ) -> None:
        self.split = check_choice('split', split, ('train', 'test'))
        self._per_class = _TEST_IMAGES + check_integer('max_count', max_count, '[1, 114]')
        super().__init__(
            ann_file='',
            imbalance_ratio=imbalance_ratio if split == 'train' else None,
            max_count=max_count,
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Draw the split: the test images, or those from which the imbalance takes its share."""
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise ImportError('DigitsLT needs scikit-learn: pip install scikit-learn') from error
        digits = load_digits()
        grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # from levels 0 to 16
        images, labels = np.repeat(grey[..., None], 3, axis=-1), digits.target
        # Per digit, in shuffled order: first the test images, then those for training.
        drawn = long_tail_indices(labels, [self._per_class] * _NUM_CLASSES, self.seed)
        drawn = drawn.reshape(_NUM_CLASSES, -1)
        chosen = drawn[:, :_TEST_IMAGES] if self.split == 'test' else drawn[:, _TEST_IMAGES:]
        return [{'img': images[i], 'gt_label': int(labels[i])} for i in chosen.ravel()]
