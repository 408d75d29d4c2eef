"""Labels of a data set: read them out of annotations, report what is missing."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from mmengine.dataset import ClassBalancedDataset, RepeatDataset
from mmengine.logging import print_log
from mmpretrain.datasets import KFoldDataset
from torch.utils.data import ConcatDataset, Subset

from mmlt.functional.counts import count_labels

__all__ = [
    'Labels',
    'as_labels',
    'dataset_class_counts',
    'dataset_labels',
    'dataset_num_classes',
    'read_labels',
    'report_empty_classes',
    'training_class_counts',
    'unsliced',
]

Labels = npt.NDArray[np.int64]


def read_labels(data_list: Sequence[dict]) -> Labels | None:
    """Collect the labels of loaded annotations.

    Args:
        data_list: one dict an image.

    Returns:
        ``(N,)`` int64, or ``None`` if the annotations carry no labels.

    Raises:
        ValueError: if some image has no label, or not exactly one integer.

    Example:
        >>> read_labels([dict(gt_label=1), dict(gt_label=0)])
        array([1, 0])
    """
    found = [info['gt_label'] for info in data_list if 'gt_label' in info]
    if data_list and not found:
        return None
    if len(found) < len(data_list):
        raise ValueError(f'{len(data_list) - len(found)} of {len(data_list)} images have no label')
    return as_labels(found)


def as_labels(values: Any) -> Labels:
    """One integer an image, or a ``ValueError`` that shows the first value that is not."""
    try:
        labels = np.asarray(values)
    except ValueError:  # lists of different lengths: several labels an image
        labels = np.asarray([None])
    if labels.size == 0:
        return np.zeros(0, dtype=np.int64)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        wrong = next((v for v in values if not isinstance(v, (int, np.integer))), values[0])
        raise ValueError(f'every image needs one integer label, got {wrong!r}')
    return labels.astype(np.int64)


def report_empty_classes(
    class_counts: Sequence[int], classes: Sequence[str] | None, level: int = logging.WARNING
) -> None:
    """Say in the log which classes have no images; silent if all have some."""
    empty = [k for k, count in enumerate(class_counts) if count == 0]
    if empty:
        names = ', '.join(f'{k} ({classes[k]})' if classes else str(k) for k in empty[:10])
        more = f' and {len(empty) - 10} more' if len(empty) > 10 else ''
        print_log(
            f'{len(empty)} of {len(class_counts)} classes have no images: {names}{more}',
            logger='current',
            level=level,
        )


def dataset_labels(dataset: Any) -> Labels:
    """Labels in the order of the data set's indices.

    Args:
        dataset: one that has ``get_gt_labels()`` or ``get_cat_ids(index)``, or ``ConcatDataset``,
            ``RepeatDataset``, ``ClassBalancedDataset`` or ``Subset`` around such data sets.

    Returns:
        ``(M,)`` int64, ``M = len(dataset)``.

    Raises:
        TypeError: if the data set offers no labels.
        ValueError: if it is empty, if an image has not exactly one integer label, or if there are
            fewer labels than images.

    Example:
        >>> class TwoImages:
        ...     def __len__(self): return 2
        ...     def get_gt_labels(self): return [1, 0]
        >>> dataset_labels(TwoImages())
        array([1, 0])
    """
    size = len(dataset)
    if size == 0:
        raise ValueError(f'{type(dataset).__name__}: the data set is empty')
    labels = _collect(dataset)
    if unsliced(dataset) is not dataset:
        labels = labels[:size]
    if len(labels) != size:
        raise ValueError(f'{type(dataset).__name__}: {size} images but {len(labels)} labels')
    return labels


def dataset_class_counts(dataset: Any) -> list[int] | None:
    """``class_counts`` of a data set's meta information, also through MMEngine's wrappers.

    Args:
        dataset: any; the counts of the parts of a ``ConcatDataset`` are added.

    Returns:
        ``K`` numbers, or None where a data set does not tell.

    Example:
        >>> dataset_class_counts(object()) is None
        True
    """
    dataset = unsliced(dataset)
    if isinstance(dataset, KFoldDataset):
        return None  # its meta information is that of all folds
    if isinstance(dataset, ConcatDataset):
        parts = [dataset_class_counts(part) for part in dataset.datasets]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts) or len({len(part) for part in known}) != 1:
            return None
        return [sum(counts) for counts in zip(*known, strict=True)]
    counts = (getattr(dataset, 'metainfo', None) or {}).get('class_counts')
    return None if counts is None else [int(count) for count in counts]


def training_class_counts(dataset: Any, num_classes: int | None = None) -> list[int]:
    """Training images per class: as the data set tells them, else by its labels.

    Args:
        dataset: the training data. An image that ``RepeatDataset`` or ``ClassBalancedDataset``
            repeats is one image.
        num_classes: ``K``, for a data set that tells neither counts nor the names of its classes.

    Returns:
        ``K`` numbers.

    Raises:
        ValueError: if it tells neither counts nor one label an image.

    Example:
        >>> class TwoImages:
        ...     def __len__(self): return 2
        ...     def get_gt_labels(self): return [1, 0]
        >>> training_class_counts(TwoImages(), num_classes=3)
        [1, 1, 0]
    """
    counts = dataset_class_counts(dataset)
    if counts is not None:
        return counts
    whole = unsliced(dataset)
    try:
        labels = np.concatenate([dataset_labels(part) for part in _without_repetition(whole)])
    except (TypeError, ValueError) as error:
        raise ValueError(
            f'class counts: the training data set {type(whole).__name__} has no class_counts in '
            'its metainfo, and its labels cannot be counted; expected get_gt_labels() with one '
            f'class an image, got: {error}'
        ) from error
    known = dataset_num_classes(whole, labels)
    if num_classes is not None and not _class_names(whole):
        known = max(known, num_classes)
    return count_labels(labels, known)


def unsliced(dataset: Any) -> Any:
    """The data set behind the proxy with which ``num_batch_per_epoch`` hides most images.

    Args:
        dataset: of a data loader.

    Returns:
        The whole data set; ``dataset`` itself where there is no such proxy.

    Example:
        >>> unsliced([1, 2])
        [1, 2]
    """
    return dataset._dataset if type(dataset).__name__ == '_SlicedDataset' else dataset


def dataset_num_classes(dataset: Any, labels: Labels) -> int:
    """Number of classes: from the meta information, else from the largest label.

    Args:
        dataset: with or without ``metainfo`` (``class_counts`` or ``classes``).
        labels: ``(M,)`` its labels.

    Returns:
        ``K``, more than any label.

    Raises:
        ValueError: if the meta information names fewer classes than the labels need.

    Example:
        >>> dataset_num_classes(object(), np.array([0, 2]))
        3
    """
    needed = int(labels.max(initial=0)) + 1
    metainfo = getattr(dataset, 'metainfo', None) or {}
    for key in ('class_counts', 'classes'):
        if metainfo.get(key) is not None and len(metainfo[key]):
            num_classes = len(metainfo[key])
            if num_classes < needed:
                raise ValueError(
                    f"{type(dataset).__name__}: metainfo['{key}'] has {num_classes} classes, but "
                    f'a label is {needed - 1}'
                )
            return num_classes
    return needed


def _class_names(dataset: Any) -> Any:
    return (getattr(dataset, 'metainfo', None) or {}).get('classes')


def _without_repetition(dataset: Any) -> Iterator[Any]:
    """The data sets inside wrappers that list an image more than once."""
    if isinstance(dataset, ConcatDataset):
        for part in dataset.datasets:
            yield from _without_repetition(part)
    elif isinstance(dataset, (RepeatDataset, ClassBalancedDataset)):
        yield from _without_repetition(dataset.dataset)
    else:
        yield dataset


def _collect(dataset: Any) -> Labels:
    if isinstance(dataset, ConcatDataset):
        return np.concatenate([_collect(part) for part in dataset.datasets])
    if isinstance(dataset, RepeatDataset):
        return np.tile(_collect(dataset.dataset), dataset.times)
    if isinstance(dataset, ClassBalancedDataset):
        return _collect(dataset.dataset)[np.asarray(dataset.repeat_indices, dtype=np.int64)]
    if isinstance(dataset, Subset):
        return _collect(dataset.dataset)[np.asarray(dataset.indices, dtype=np.int64)]
    if callable(getattr(dataset, 'get_gt_labels', None)):
        return as_labels(_labels_of_host(dataset))
    if callable(getattr(dataset, 'get_cat_ids', None)):
        return as_labels([_only(dataset.get_cat_ids(i)) for i in range(len(dataset))])
    raise TypeError(
        f'{type(dataset).__name__}: cannot tell the labels; a data set needs get_gt_labels() or '
        'get_cat_ids(index)'
    )


def _labels_of_host(dataset: Any) -> Any:
    try:
        return dataset.get_gt_labels()
    except KeyError as error:
        raise ValueError(f'{type(dataset).__name__}: an image has no {error}') from error


def _only(categories: Any) -> Any:
    """The single category of an image; all of them, for ``as_labels`` to refuse, otherwise."""
    return categories[0] if len(categories) == 1 else categories
