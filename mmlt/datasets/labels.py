"""Labels and class counts of a data set, also of one inside the wrappers of MMEngine.

Samplers and losses need every label before the first image is loaded, so the labels are read from
the annotations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from mmengine.dataset import ClassBalancedDataset, RepeatDataset
from mmpretrain.datasets import KFoldDataset
from torch.utils.data import ConcatDataset, Subset

from mmlt.functional.checks import refuse
from mmlt.functional.counts import count_labels

__all__ = [
    'Labels',
    'dataset_class_counts',
    'dataset_labels',
    'dataset_num_classes',
    'is_dataset',
    'read_labels',
    'training_class_counts',
    'unsliced',
]

Labels = npt.NDArray[np.int64]


def is_dataset(value: Any) -> bool:
    """Whether a value can be a data set: indexed, with a length, and not a mere collection."""
    indexed = hasattr(value, '__getitem__') and hasattr(value, '__len__')
    return indexed and not isinstance(value, (Sequence, dict, type))


def read_labels(data_list: Sequence[dict]) -> Labels | None:
    """Labels ``(N,)`` of loaded annotations, one dict per image; None if they carry no labels.

    Raises ``ValueError`` if some images lack a label, or a label is not one integer.
    """
    found = [info['gt_label'] for info in data_list if 'gt_label' in info]
    if data_list and not found:
        return None
    if len(found) < len(data_list):
        missing = len(data_list) - len(found)
        raise ValueError(
            f'gt_label: expected one for each of {len(data_list)} images, got {missing} without'
        )
    return _as_labels(found)


def _as_labels(values: Any) -> Labels:
    """``(N,)`` int64; a ``ValueError`` shows the first value that is not one integer."""
    try:
        labels = np.asarray(values)
    except ValueError:  # lists of different lengths: several labels per image
        labels = np.asarray([None])
    if labels.size == 0:
        return np.zeros(0, dtype=np.int64)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        wrong = next((v for v in values if not isinstance(v, (int, np.integer))), values[0])
        raise refuse('gt_label', 'one integer label per image', wrong)
    return labels.astype(np.int64)


def dataset_labels(dataset: Any) -> Labels:
    """Labels ``(M,)`` of the images of a data set, in its order, also inside of wrappers.

    Raises ``TypeError`` if it offers no labels; ``ValueError`` if it is empty, or the labels are
    not one integer for each image.
    """
    if not hasattr(dataset, '__len__') or isinstance(dataset, (Sequence, dict)):
        raise refuse('dataset', 'a data set', dataset)
    size = len(dataset)
    if size == 0:
        raise ValueError(f'{type(dataset).__name__}: expected images, got an empty data set')
    labels = _collect(dataset)
    if unsliced(dataset) is not dataset:
        labels = labels[:size]
    if len(labels) != size:
        raise ValueError(
            f'{type(dataset).__name__}: expected one label per image, got {size} images but '
            f'{len(labels)} labels'
        )
    return labels


def dataset_class_counts(dataset: Any) -> list[int] | None:
    """``class_counts`` of the meta information; None where a data set does not give them.

    The counts of the parts of a ``ConcatDataset`` are added.
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
    """Training images per class, from the meta information or else from the labels.

    An image that ``RepeatDataset`` or ``ClassBalancedDataset`` repeats is counted once.
    ``num_classes`` is for a data set without counts and without class names. Raises ``ValueError``
    if it has neither counts nor one label per image.
    """
    counts = dataset_class_counts(dataset)
    if counts is not None:
        return counts
    whole = unsliced(dataset)
    try:
        labels = np.concatenate([dataset_labels(part) for part in _without_repetition(whole)])
    except (TypeError, ValueError) as error:
        raise ValueError(
            f'class counts: expected class_counts in the metainfo of {type(whole).__name__}, or '
            f'get_gt_labels() with one class per image, got neither ({error})'
        ) from error
    known = dataset_num_classes(whole, labels)
    named = (getattr(whole, 'metainfo', None) or {}).get('classes')
    return count_labels(labels, known if named else max(known, num_classes or 0))


def unsliced(dataset: Any) -> Any:
    """The data set behind the proxy that MMEngine's ``num_batch_per_epoch`` puts in front of it."""
    return dataset._dataset if type(dataset).__name__ == '_SlicedDataset' else dataset


def dataset_num_classes(dataset: Any, labels: Labels) -> int:
    """Number of classes, from the meta information or else from the largest label.

    Raises ``ValueError`` if the meta information names fewer classes than the labels need.
    """
    needed = int(labels.max(initial=0)) + 1
    metainfo = getattr(dataset, 'metainfo', None) or {}
    for key in ('class_counts', 'classes', 'categories'):
        if metainfo.get(key) is not None and len(metainfo[key]):
            num_classes = len(metainfo[key])
            if num_classes < needed:
                raise ValueError(
                    f'{type(dataset).__name__}: expected labels below {num_classes}, because '
                    f"metainfo['{key}'] has {num_classes} classes, got {needed - 1}"
                )
            return num_classes
    return needed


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
        try:
            return _as_labels(dataset.get_gt_labels())
        except KeyError as error:
            raise ValueError(f'{type(dataset).__name__}: an image has no {error}') from error
    if callable(getattr(dataset, 'get_cat_ids', None)):
        classes = [dataset.get_cat_ids(i) for i in range(len(dataset))]
        # An image with several classes stays a list, for _as_labels to refuse.
        return _as_labels([one[0] if len(one) == 1 else one for one in classes])
    raise TypeError(
        f'{type(dataset).__name__}: expected get_gt_labels() or get_cat_ids(index) for the labels, '
        'got neither'
    )
