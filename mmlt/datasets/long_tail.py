"""Data sets that impose an imbalance on themselves and count their classes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from os import PathLike
from os.path import isfile
from typing import Any

import numpy as np
import numpy.typing as npt
from mmengine.dataset import force_full_init
from mmengine.logging import print_log
from mmpretrain.datasets import BaseDataset
from mmpretrain.registry import DATASETS

from mmlt.functional.checks import check_choice, check_flag, check_integer, check_number, refuse
from mmlt.functional.counts import count_labels
from mmlt.functional.imbalance import IMBALANCE_TYPES, long_tail_indices
from mmlt.registry import build_part, build_transforms

from .labels import Labels, dataset_labels, dataset_num_classes, is_dataset, read_labels

__all__ = ['LongTailDataset', 'LongTailMixin']


def _check_options(options: dict[str, Any]) -> dict[str, Any]:
    """Options of MMPretrain's ``BaseDataset``, checked, with the transforms built."""
    for name in ('serialize_data', 'test_mode', 'lazy_init'):
        check_flag(name, options.get(name, False))
    check_integer('max_refetch', options.get('max_refetch', 0), '[0, inf)')
    for name in ('data_root', 'data_prefix', 'ann_file'):
        kinds = (str, PathLike, dict) if name == 'data_prefix' else (str, PathLike)
        if not isinstance(options.get(name, ''), kinds):
            raise refuse(name, 'a path', options[name])
    for name in ('metainfo', 'filter_cfg'):
        if not isinstance(options.get(name), (Mapping, type(None))):
            raise refuse(name, 'a dict or None', options[name])
    classes, indices = options.get('classes'), options.get('indices')
    if isinstance(classes, str):
        if not isfile(classes):
            raise refuse('classes', 'names, or a file of them', classes)
    elif classes is not None and not (
        isinstance(classes, (list, tuple))
        and classes
        and all(isinstance(name, str) for name in classes)
    ):
        raise refuse('classes', 'names, or a file of them', classes)
    if indices is not None:
        several = isinstance(indices, (list, tuple, np.ndarray))
        for index in indices if several else [indices]:
            check_integer('indices', index)
    return {**options, 'pipeline': build_transforms('pipeline', options.get('pipeline', ()))}


class LongTailMixin(BaseDataset):
    """Makes a data set of MMPretrain long-tailed and lets it count its classes.

    Put it before the data set: ``class CUBLT(LongTailMixin, CUB)``. Annotations are filtered,
    then the imbalance is imposed, then ``indices`` are taken. After ``full_init``,
    ``metainfo['class_counts']`` is a plain list of ints: what is left after all three. Labels are
    kept in one array, so that ``get_gt_labels`` and ``get_cat_ids`` do not unpack every image.

    Args:
        *args: of the data set.
        imbalance_ratio: largest over smallest class, at least 1 (100, never 0.01); ``None``: all
            images are kept.
        imbalance_type: ``'exp'`` or ``'step'``.
        max_count: images of the largest class; ``None``: as many as the largest class has.
        seed: which images are kept, in ``[0, 2**32)``.
        **kwargs: of the data set.

    Raises:
        ValueError: if an option is out of range, or a label is not one integer.

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
        if imbalance_ratio is not None:
            check_number('imbalance_ratio', imbalance_ratio, '[1, inf)')
        if max_count is not None:
            check_integer('max_count', max_count, '[1, inf)')
        self.imbalance_ratio, self.max_count = imbalance_ratio, max_count
        self.imbalance_type = check_choice('imbalance_type', imbalance_type, tuple(IMBALANCE_TYPES))
        self.seed = check_integer('seed', seed, '[0, 4294967295]')
        self._labels: Labels | None = None
        self._before_indices: Labels | None = None
        super().__init__(*args, **_check_options(kwargs))

    def filter_data(self) -> list[dict]:
        """Filter as the data set does, then keep the images that the imbalance leaves."""
        data_list = super().filter_data()
        if self.imbalance_ratio is not None:
            labels = read_labels(data_list)
            if labels is None:
                raise ValueError(
                    'imbalance_ratio: expected a data set with labels, got one without'
                )
            kept = self._kept_positions(labels, self.imbalance_ratio)
            data_list = [data_list[position] for position in kept]
        if self._indices is not None:
            _check_indices(self._indices, len(data_list))
            self._before_indices = read_labels(data_list)
        return data_list

    def _kept_positions(self, labels: Labels, imbalance_ratio: float) -> Labels:
        """Positions that the imbalance leaves, class by class; a class that is short keeps all."""
        available = count_labels(labels, dataset_num_classes(self, labels))
        profile = IMBALANCE_TYPES[self.imbalance_type]
        wanted = profile(self.max_count or max(*available, 1), len(available), imbalance_ratio)
        short = [k for k, count in enumerate(wanted) if count > available[k]]
        if short:
            k = short[0]
            print_log(
                f'{len(short)} of {len(wanted)} classes have fewer images than an imbalance ratio '
                f'of {imbalance_ratio} gives them, and keep all they have '
                f'(class {k}: {available[k]} instead of {wanted[k]})',
                logger='current',
                level=logging.WARNING,
            )
        kept = [min(pair) for pair in zip(wanted, available, strict=True)]
        return long_tail_indices(labels, kept, self.seed)

    def full_init(self) -> None:
        """Load, filter, impose the imbalance, subset; then count the classes."""
        if self._fully_initialized:
            return
        super().full_init()
        if not self.serialize_data:
            self._labels = read_labels(self.data_list)
        self._publish_class_counts()

    def _serialize_data(self) -> tuple[np.ndarray, np.ndarray]:
        # The labels are read here because MMEngine empties the list of annotations after this.
        self._labels = read_labels(self.data_list)
        return super()._serialize_data()

    @force_full_init
    def get_gt_labels(self) -> npt.NDArray[Any]:
        """Labels of all images, ``(N,)``."""
        return super().get_gt_labels() if self._labels is None else self._labels.copy()

    @force_full_init
    def get_cat_ids(self, idx: int) -> list[int]:
        """The class of one image, in a list, as the wrappers of MMEngine expect."""
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

    def _publish_class_counts(self) -> None:
        if self._labels is None:
            return
        counts = count_labels(self._labels, dataset_num_classes(self, self._labels))
        # A new dict, because subsets that MMEngine makes share one.
        self._metainfo = {**self._metainfo, 'class_counts': counts}
        empty = [k for k, count in enumerate(counts) if count == 0]
        if empty:
            names = [f'{k} ({self.CLASSES[k]})' if self.CLASSES else str(k) for k in empty[:10]]
            more = f' and {len(empty) - 10} more' if len(empty) > 10 else ''
            print_log(
                f'{len(empty)} of {len(counts)} classes have no images: {", ".join(names)}{more}'
                f'{self._emptied_by_indices(empty)}',
                logger='current',
                level=logging.INFO if self.test_mode else logging.WARNING,
            )

    def _emptied_by_indices(self, empty: Sequence[int]) -> str:
        """The end of a sentence on classes without images."""
        lost = np.intersect1d(empty, [] if self._before_indices is None else self._before_indices)
        self._before_indices = None
        return (
            f'; {len(lost)} of them lost all to indices={self._shown_indices()}'
            if len(lost)
            else ''
        )

    def _shown_indices(self) -> str:
        text = repr(self._indices)
        return text if len(text) < 60 else f'{text[:50]}...'


def _check_indices(indices: Any, size: int) -> None:
    """Refuse ``indices`` that leave no image, or that name one which is not there."""
    if isinstance(indices, Sequence) and not isinstance(indices, str):
        for index in indices:
            check_integer('indices', index, f'[{-size}, {size - 1}]')
        left = len(indices)
    else:
        left = check_integer('indices', indices)
    if left == 0:
        raise refuse('indices', f'to leave some of {size} images', indices)


@DATASETS.register_module()
class LongTailDataset(LongTailMixin):
    """Imposes an imbalance on any data set, or takes it as it is, and counts its classes.

    It is a data set of MMPretrain itself, with the pipeline, the ``test_mode`` and the
    ``metainfo`` of the wrapped one, which is left unchanged. With an imbalance, images are
    ordered class by class. ``sample_idx`` of an annotation is the index in the wrapped data set.

    Args:
        dataset: a data set with one integer label per image, or the config of one.
        imbalance_ratio, imbalance_type, max_count, seed: of :class:`LongTailMixin`.
        lazy_init: read the annotations only when they are needed.
        max_refetch: how many other images to try for one that the pipeline gives up, in training.

    Raises:
        ValueError: if an option is of another form or out of range, or a label is not one integer.

    Reference: Cao et al., NeurIPS 2019.

    Example:
        >>> from mmlt.datasets.digits_lt import DigitsLT
        >>> balanced = dict(type='DigitsLT', imbalance_ratio=None)
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
        check_flag('lazy_init', lazy_init)
        check_integer('max_refetch', max_refetch, '[0, inf)')
        dataset = build_part(DATASETS, 'dataset', dataset, is_dataset)
        super().__init__(
            ann_file='',
            imbalance_ratio=imbalance_ratio,
            imbalance_type=imbalance_type,
            max_count=max_count,
            seed=seed,
            test_mode=getattr(dataset, 'test_mode', False),
            lazy_init=True,
            max_refetch=max_refetch,
        )
        self.dataset = dataset
        self._metainfo = dict(getattr(dataset, 'metainfo', {}))
        self._metainfo.pop('class_counts', None)  # they would be those of the wrapped data set
        if not lazy_init:
            self.full_init()

    def load_data_list(self) -> list[dict]:
        """Class and position of every image of the wrapped data set."""
        if hasattr(self.dataset, 'full_init'):
            self.dataset.full_init()
        labels = dataset_labels(self.dataset)
        metainfo = getattr(self.dataset, 'metainfo', {})
        # Counts of all images, so that a class without a name is not lost with its last image.
        counts = count_labels(labels, dataset_num_classes(self.dataset, labels))
        self._metainfo = {**metainfo, 'class_counts': counts}
        return [dict(gt_label=label, position=i) for i, label in enumerate(labels.tolist())]

    @property
    def pipeline(self) -> Any:
        """Transforms of the wrapped data set; may be replaced while training."""
        return self.dataset.pipeline

    @pipeline.setter
    def pipeline(self, pipeline: Any) -> None:
        if hasattr(self, 'dataset'):  # the constructor of MMEngine sets an empty one before
            self.dataset.pipeline = pipeline

    def get_data_info(self, idx: int) -> dict:
        """Annotation of one image, from the wrapped data set."""
        return self.dataset.get_data_info(self._position(idx))

    def prepare_data(self, idx: int) -> Any:
        """One image through the pipeline; ``None`` if the pipeline returns that."""
        # Data sets such as ConcatDataset have no prepare_data.
        prepare = getattr(self.dataset, 'prepare_data', self.dataset.__getitem__)
        return prepare(self._position(idx))

    def _position(self, idx: int) -> int:
        return super().get_data_info(idx)['position']

    def __repr__(self) -> str:
        state = f'{len(self)} images' if self._fully_initialized else 'not initialised'
        return (
            f'{type(self).__name__}({state}, imbalance_ratio={self.imbalance_ratio}, '
            f'{self.dataset!r})'
        )
