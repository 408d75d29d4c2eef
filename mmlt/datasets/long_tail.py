"""What every long-tailed data set does: impose an imbalance, and count its classes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from mmengine.dataset import force_full_init
from mmpretrain.datasets import BaseDataset

from mmlt.functional.class_statistics import count_labels

from .imbalance import Imbalance
from .labels import Labels, read_labels, report_empty_classes

__all__ = ['LongTailMixin']


class LongTailMixin(BaseDataset):
    """Makes a data set of MMPretrain long-tailed and lets it count its classes.

    Put it before the data set: ``class CUBLT(LongTailMixin, CUB)``. Annotations are filtered,
    then the imbalance is imposed, then ``indices`` are taken. After ``full_init``,
    ``metainfo['class_counts']`` is a plain list of ints: what is left after all three. Labels are
    kept in one array, so that ``get_gt_labels`` and ``get_cat_ids`` do not unpack every image.

    Args:
        *args: of the data set.
        imbalance_ratio: largest over smallest class (100, never 0.01); ``None``: as it is.
        imbalance_type: ``'exp'`` or ``'step'``.
        max_count: images of the largest class; ``None``: as many as the largest class has.
        seed: which images are kept.
        **kwargs: of the data set.

    Raises:
        ValueError: if an option is out of range, or the images have no single integer label.

    Reference: Cao et al., NeurIPS 2019.
    """

    _metainfo: dict

    def __init__(
        self,
        *args: Any,
        imbalance_ratio: float | None = None,
        imbalance_type: str = 'exp',
        max_count: int | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        self.imbalance = Imbalance(imbalance_ratio, imbalance_type, max_count, seed)
        self._labels: Labels | None = None
        super().__init__(*args, **kwargs)

    def filter_data(self) -> list[dict]:
        """Filter as the data set does, then keep the images that the imbalance leaves."""
        data_list = super().filter_data()
        if self.imbalance.ratio is None:
            return data_list
        labels = read_labels(data_list)
        if labels is None:
            raise ValueError('imbalance_ratio needs a data set with labels, this one has none')
        kept = self.imbalance.positions(labels, self._num_classes(labels))
        return [data_list[position] for position in kept]

    def full_init(self) -> None:
        """Load, filter, impose the imbalance, subset; then count the classes."""
        if self._fully_initialized:
            return
        super().full_init()
        if not self.serialize_data:
            self._labels = read_labels(self.data_list)
        self._publish_class_counts()

    def _serialize_data(self) -> tuple[np.ndarray, np.ndarray]:
        # The last moment at which the annotations lie open: the host clears the list here.
        self._labels = read_labels(self.data_list)
        return super()._serialize_data()

    @force_full_init
    def get_gt_labels(self) -> npt.NDArray[Any]:
        """Labels of all images, ``(N,)``."""
        return super().get_gt_labels() if self._labels is None else self._labels.copy()

    @force_full_init
    def get_cat_ids(self, idx: int) -> list[int]:
        """The class of one image, in a list as the host's wrappers want it."""
        return super().get_cat_ids(idx) if self._labels is None else [int(self._labels[idx])]

    def get_subset_(self, indices: Sequence[int] | int) -> None:
        """Keep the images at ``indices`` (an int: the first, or the last if negative)."""
        super().get_subset_(indices)
        self._take_labels(self._labels, indices)

    def get_subset(self, indices: Sequence[int] | int) -> LongTailMixin:
        """As ``get_subset_``, in a new data set."""
        subset = super().get_subset(indices)
        subset._take_labels(self._labels, indices)
        return subset

    def _take_labels(self, labels: Labels | None, indices: Sequence[int] | int) -> None:
        if labels is not None:
            if isinstance(indices, int):
                labels = labels[:indices] if indices >= 0 else labels[indices:]
            else:
                labels = labels[np.asarray(indices, dtype=np.int64)]
        self._labels = labels
        self._publish_class_counts()

    def _num_classes(self, labels: Labels) -> int:
        names = self.CLASSES or self._metainfo.get('categories')
        return len(names) if names else int(labels.max(initial=-1)) + 1

    def _publish_class_counts(self) -> None:
        if self._labels is None:
            return
        counts = count_labels(self._labels, self._num_classes(self._labels))
        # A new dict: the host's get_subset lets several subsets share one.
        self._metainfo = {**self._metainfo, 'class_counts': counts}
        level = logging.INFO if self.test_mode else logging.WARNING
        report_empty_classes(counts, self.CLASSES, level)
