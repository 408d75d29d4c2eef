"""An imbalance on any data set of MMPretrain."""

from __future__ import annotations

import copy
import logging
from typing import Any

import numpy as np
from mmpretrain.registry import DATASETS

from mmlt.functional.class_statistics import count_labels

from .dataset_labels import dataset_labels, dataset_num_classes
from .imbalance import Imbalance
from .labels import Labels, report_empty_classes

__all__ = ['LongTailDataset']


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
