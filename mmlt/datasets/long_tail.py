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

from mmlt.functional.checks import check_choice, check_flag, check_integer, check_number, refuse
from mmlt.functional.counts import count_labels
from mmlt.functional.imbalance import IMBALANCE_TYPES, long_tail_indices
from mmlt.registry import build_transforms

from .labels import Labels, dataset_num_classes, leaves, read_labels
from .reading import Pipeline, UnreadableImageError, describe, mark_skipped, prepare, unwrapped

__all__ = ['LongTailMixin', 'begin_epoch', 'policy_of', 'read_sample', 'refuse_pickled', 'skips']


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
    ``class_counts`` is a plain list of ints: what is left after all three. Labels are
    kept in one array, so that ``get_gt_labels`` and ``get_cat_ids`` do not unpack every image.

    MMEngine silently replaces an image that cannot be read by a random other one, mostly of a head
    class, which undoes the sampling strategy. Here it is an error that names the file and, where
    there is a list, the line. With ``on_error='skip'`` another image of the same class takes
    its place, drawn by seed, epoch and index, and :class:`~mmlt.hooks.LongTailHook` names the
    skipped files at the end of each epoch. Whatever the pipeline raises counts as unreadable.

    Args:
        *args: of the data set.
        imbalance_ratio: largest over smallest class, at least 1 (100, never 0.01); ``None``: all
            images are kept.
        imbalance_type: ``'exp'`` or ``'step'``.
        max_count: images of the largest class; ``None``: as many as the largest class has.
        seed: which images are kept, in ``[0, 2**32)``.
        on_error: for an image that cannot be read: ``'raise'``, or ``'skip'``, also in validation
            and test.
        trust: unpickle an annotation file (``.pkl``), which can run any code.
        **kwargs: of the data set. Of a class that has more images than ``max_refetch``, only so
            many are tried in place of one.

    Raises:
        ValueError: if an option is out of range, a label is not one integer, or an annotation file
            is pickled and not trusted.
        UnreadableImageError: where an image cannot be read; with ``on_error='skip'``, where no
            image of its class can.

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
        on_error: str = 'raise',
        trust: bool = False,
        **kwargs: Any,
    ) -> None:
        if imbalance_ratio is not None:
            check_number('imbalance_ratio', imbalance_ratio, '[1, inf)')
        if max_count is not None:
            check_integer('max_count', max_count, '[1, inf)')
        self.imbalance_ratio, self.max_count = imbalance_ratio, max_count
        self.imbalance_type = check_choice('imbalance_type', imbalance_type, tuple(IMBALANCE_TYPES))
        self.seed = check_integer('seed', seed, '[0, 4294967295]')
        self.on_error = check_choice('on_error', on_error, ('raise', 'skip'))
        self.trust = check_flag('trust', trust)
        self._labels: Labels | None = None
        self._before_indices: Labels | None = None
        self._class_counts: list[int] | None = None
        self._epoch_seed = (0, 0)
        super().__init__(*args, **_check_options(kwargs))

    @property
    def class_counts(self) -> list[int] | None:
        """Images per class, ``(K,)``; None before ``full_init`` and without labels.

        It is not part of ``metainfo``, since ``ConcatDataset`` wants that to be equal in all parts.
        """
        return None if self._class_counts is None else list(self._class_counts)

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
        refuse_pickled(self.ann_file, self.trust)
        super().full_init()
        if not self.serialize_data:
            self._labels = read_labels(self.data_list)
        self._count_classes()

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

    def _copy_without_annotation(self, memo: dict[int, Any] | None = None) -> LongTailMixin:
        """The copy behind ``get_subset``, with a memory of its own.

        That of MMEngine outlives the call (a default ``memo=dict()``) and knows objects by address:
        once a data set is gone, what takes its place in memory is "copied" as that data set.
        """
        return super()._copy_without_annotation({} if memo is None else memo)

    def _take_labels(self, labels: Labels | None, indices: Sequence[int] | int) -> None:
        if labels is not None:
            if isinstance(indices, int):
                labels = labels[:indices] if indices >= 0 else labels[indices:]
            else:
                labels = labels[np.asarray(indices, dtype=np.int64)]
        self._labels = labels
        self._count_classes()

    def _count_classes(self) -> None:
        if self._labels is None:
            return
        counts = count_labels(self._labels, dataset_num_classes(self, self._labels))
        self._class_counts = counts
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

    def begin_epoch(self, seed: int, epoch: int) -> None:
        """Take seed and epoch by which replacements are drawn.

        Workers that outlive an epoch (``persistent_workers=True``) keep those of their first.
        """
        self._epoch_seed = (seed, epoch)

    def __getitem__(self, index: int) -> Any:
        """One image through the pipeline; see ``on_error``."""
        return self.read(index)

    @force_full_init
    def read(self, index: int, pipeline: Pipeline | None = None) -> Any:
        """One image through this or another pipeline; see ``on_error``."""
        size = len(self)
        if not -size <= index < size:
            raise IndexError(f'index: expected an integer in [{-size}, {size}), got {index}')
        index += size if index < 0 else 0
        try:
            return prepare(self, index, pipeline)
        except Exception as error:  # decoders raise errors of every kind
            fault = describe(self, index, error)
            if self.on_error == 'raise' or self._labels is None:
                raise UnreadableImageError(fault) from error
        return self._replacement(index, pipeline, fault)

    def _replacement(self, index: int, pipeline: Pipeline | None, fault: str) -> Any:
        """Another image of the same class, the same for any number of workers and ranks."""
        labels = self.get_gt_labels()
        others = np.flatnonzero(labels == labels[index])
        rng = np.random.default_rng([*self._epoch_seed, index])
        others = rng.permutation(others[others != index])[: self.max_refetch]
        skipped = [fault]
        for other in others.tolist():
            try:
                sample = prepare(self, other, pipeline)
            except Exception as error:  # decoders raise errors of every kind
                skipped.append(describe(self, other, error))
            else:
                mark_skipped(sample, skipped)
                return sample
        raise UnreadableImageError(
            f'class {labels[index]}: expected an image that can be read, got none of '
            f'{len(skipped)} that were tried; the first: {fault}'
        )


def read_sample(dataset: Any, index: int, pipeline: Pipeline | None = None) -> Any:
    """An image of any data set, through this or another pipeline, under the policy of a data set of
    mmlt inside wrappers.

    Other data sets have none; what they cannot read is an ``UnreadableImageError``.
    """
    inner, position = unwrapped(dataset, index)
    if isinstance(inner, LongTailMixin):
        return inner.read(position, pipeline)
    try:
        return prepare(inner, position, pipeline)
    except Exception as error:  # decoders raise errors of every kind
        raise UnreadableImageError(describe(inner, position, error)) from error


def begin_epoch(dataset: Any, seed: int, epoch: int) -> None:
    """Tell seed and epoch to the data sets of mmlt inside wrappers."""
    for leaf in leaves(dataset):
        if isinstance(leaf, LongTailMixin):
            leaf.begin_epoch(seed, epoch)


def skips(dataset: Any) -> bool:
    """Whether a data set inside wrappers replaces what it cannot read."""
    return any(policy_of(leaf) == 'skip' for leaf in leaves(dataset))


def refuse_pickled(ann_file: Any, trust: bool) -> None:
    """A ``ValueError`` for an annotation file that MMEngine would unpickle."""
    if str(ann_file).endswith(('.pkl', '.pickle')) and not trust:
        raise ValueError(
            f'ann_file: expected a file that is not pickled, got {ann_file}. Unpickling can run '
            'any code; trust=True allows it'
        )


def policy_of(leaf: Any) -> str:
    """What a data set does with an image that it cannot read; those of others raise."""
    return leaf.on_error if isinstance(leaf, LongTailMixin) else 'raise'


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
