"""The imbalance that a data set may be asked to impose on itself."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from mmengine.dataset import force_full_init
from mmengine.logging import print_log
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

from mmlt.functional.counts import count_labels
from mmlt.functional.imbalance import imbalanced_class_counts, long_tail_indices

from .labels import Labels, dataset_labels, dataset_num_classes, read_labels, report_empty_classes

__all__ = ['Imbalance', 'LongTailDataset', 'LongTailMixin']


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


@DATASETS.register_module()
class LongTailDataset:
    """Imposes an imbalance on a data set, or takes it as it is, and counts its classes.

    It behaves as a data set of MMPretrain does. ``metainfo`` is that of the wrapped data set and
    ``class_counts``, a plain list of ints. The wrapped data set is left unchanged; with an
    imbalance, images stand class by class.

    Args:
        dataset: a data set, or the config of one, with one integer label an image.
        imbalance_ratio: largest over smallest class (100, never 0.01); ``None``: as it is.
        imbalance_type: ``'exp'`` or ``'step'``.
        max_count: images of the largest class; ``None``: as many as the largest class has.
        seed: which images are kept.
        lazy_init: whether to wait with reading the annotations until they are needed.
        max_refetch: images to try in place of one that the pipeline gives up, in training.

    Raises:
        TypeError: if ``dataset`` is neither a config nor a data set.
        ValueError: if an option is out of range, or the images have no single integer label.

    Reference: Cao et al., NeurIPS 2019.

    Example:
        >>> balanced = dict(type='DigitsLT', imbalance_ratio=None)
        >>> from mmlt.datasets.digits_lt import DigitsLT
        >>> train = LongTailDataset(balanced, imbalance_ratio=10, imbalance_type='step')
        >>> train.metainfo['class_counts']
        [110, 110, 110, 110, 110, 11, 11, 11, 11, 11]
        >>> len(train)
        605
    """

    def __init__(
        self,
        dataset: Any,
        imbalance_ratio: float | None = None,
        imbalance_type: str = 'exp',
        max_count: int | None = None,
        seed: int = 0,
        lazy_init: bool = False,
        max_refetch: int = 1000,
    ) -> None:
        self.imbalance = Imbalance(imbalance_ratio, imbalance_type, max_count, seed)
        if isinstance(dataset, dict):
            dataset = DATASETS.build(dataset)
        if not (hasattr(dataset, '__getitem__') and hasattr(dataset, '__len__')):
            raise TypeError(
                f'dataset must be a data set or the config of one, got {type(dataset).__name__}'
            )
        self.dataset = dataset
        self.max_refetch = max_refetch
        self._metainfo: dict = copy.deepcopy(getattr(dataset, 'metainfo', {}))
        self._kept: Labels = np.zeros(0, dtype=np.int64)
        self._labels: Labels = np.zeros(0, dtype=np.int64)
        self._fully_initialized = False
        if not lazy_init:
            self.full_init()

    def full_init(self) -> None:
        """Initialise the wrapped data set, choose the images, count the classes."""
        if self._fully_initialized:
            return
        if hasattr(self.dataset, 'full_init'):
            self.dataset.full_init()
        labels = dataset_labels(self.dataset)
        num_classes = dataset_num_classes(self.dataset, labels)
        kept = self.imbalance.positions(labels, num_classes)
        counts = count_labels(labels[kept], num_classes)
        self._metainfo = copy.deepcopy(getattr(self.dataset, 'metainfo', {}))
        self._metainfo['class_counts'] = counts
        self._labels = labels[kept]
        self._kept = kept
        self._fully_initialized = True
        level = logging.INFO if self.test_mode else logging.WARNING
        report_empty_classes(counts, self.CLASSES, level)

    @property
    def metainfo(self) -> dict:
        """Of the wrapped data set, with ``class_counts`` once it is initialised."""
        return copy.deepcopy(self._metainfo)

    @property
    def CLASSES(self) -> Any:
        """Names of the classes, or ``None``."""
        return self._metainfo.get('classes')

    @property
    def class_to_idx(self) -> dict[str, int]:
        """Class of each name."""
        return {name: k for k, name in enumerate(self.CLASSES or ())}

    @property
    def test_mode(self) -> bool:
        """Whether an image that cannot be loaded is an error rather than replaced."""
        return getattr(self.dataset, 'test_mode', False)

    @property
    def pipeline(self) -> Any:
        """Transforms of the wrapped data set; may be replaced while training."""
        return self.dataset.pipeline

    @pipeline.setter
    def pipeline(self, pipeline: Any) -> None:
        self.dataset.pipeline = pipeline

    def __len__(self) -> int:
        """Number of images that are left."""
        self.full_init()
        return len(self._kept)

    def get_gt_labels(self) -> Labels:
        """Labels of all images, ``(N,)`` int64."""
        self.full_init()
        return self._labels.copy()

    def get_cat_ids(self, idx: int) -> list[int]:
        """The class of one image, in a list as the host's wrappers want it."""
        self.full_init()
        return [int(self._labels[idx])]

    def get_data_info(self, idx: int) -> dict:
        """Annotation of one image; ``sample_idx`` is its index in the wrapped data set."""
        return self.dataset.get_data_info(self._position(idx))

    def prepare_data(self, idx: int) -> Any:
        """One image through the pipeline; ``None`` if the pipeline gives it up."""
        position = self._position(idx)
        if hasattr(self.dataset, 'prepare_data'):
            return self.dataset.prepare_data(position)
        return self.dataset[position]

    def __getitem__(self, idx: int) -> Any:
        """One image through the pipeline; in training another one if the pipeline gives it up."""
        data = self.prepare_data(idx)
        if data is not None:
            return data
        if self.test_mode:
            raise RuntimeError(f'the pipeline returned None for image {idx} in test mode')
        # Not left to the wrapped data set, which would replace it by an image that was not kept.
        for index in np.random.default_rng([self.imbalance.seed, idx % len(self)]).integers(
            len(self), size=self.max_refetch
        ):
            data = self.prepare_data(int(index))
            if data is not None:
                return data
        raise RuntimeError(f'the pipeline returned None for {self.max_refetch + 1} images in turn')

    def __repr__(self) -> str:
        state = f'{len(self._kept)} images' if self._fully_initialized else 'not initialised'
        return f'{type(self).__name__}({state}, {self.imbalance}, {self.dataset!r})'

    def _position(self, idx: int) -> int:
        self.full_init()
        return int(self._kept[idx])
