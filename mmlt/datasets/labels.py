"""Labels, class counts and class names of a data set, also of one inside the wrappers of MMEngine.

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
    'check_class_names',
    'class_names',
    'dataset_labels',
    'dataset_num_classes',
    'is_dataset',
    'leaves',
    'names_of_classes',
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


def training_class_counts(dataset: Any, num_classes: int | None = None) -> list[int]:
    """Training images per class, from ``class_counts`` of the data set or else from its labels.

    An image that ``RepeatDataset`` or ``ClassBalancedDataset`` repeats is counted once.
    ``num_classes`` is for a data set without counts and without class names. Raises ``ValueError``
    if it has neither counts nor one label per image.
    """
    whole = unsliced(dataset)
    told = getattr(whole, 'class_counts', None)
    if told is not None:
        return [int(count) for count in told]
    try:
        labels = np.concatenate([dataset_labels(part) for part in _without_repetition(whole)])
    except (TypeError, ValueError) as error:
        raise ValueError(
            f'class counts: expected {type(whole).__name__}.class_counts, or get_gt_labels() with '
            f'one class per image, got neither ({error})'
        ) from error
    known = dataset_num_classes(whole, labels)
    named = any(names for _, names in class_names(whole))
    return count_labels(labels, known if named else max(known, num_classes or 0))


def unsliced(dataset: Any) -> Any:
    """The data set behind the proxy that MMEngine's ``num_batch_per_epoch`` puts in front of it."""
    return dataset._dataset if type(dataset).__name__ == '_SlicedDataset' else dataset


def leaves(dataset: Any) -> Iterator[Any]:
    """The data sets inside wrappers: they hold the images and the names of their classes.

    A wrapper of the user's own counts as one if it has a ``dataset`` and no ``metainfo``.
    """
    from .paired_dataset import PairedDataset  # which reads labels by this module

    dataset = unsliced(dataset)
    inner = getattr(dataset, 'dataset', None)
    known = (RepeatDataset, ClassBalancedDataset, KFoldDataset, Subset, PairedDataset)
    if isinstance(dataset, ConcatDataset):
        for part in dataset.datasets:
            yield from leaves(part)
    elif isinstance(dataset, known) or (
        hasattr(inner, '__getitem__')
        and not isinstance(inner, str)
        and not hasattr(dataset, 'metainfo')
    ):
        yield from leaves(inner)
    else:
        yield dataset


def class_names(dataset: Any) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """Each data set inside wrappers with the names of its classes in order, ``()`` if it has none.

    An annotation file in the format of OpenMMLab names them under ``categories``, with ids.
    """
    for leaf in leaves(dataset):
        metainfo = getattr(leaf, 'metainfo', None) or {}
        names = metainfo.get('classes')
        if names is None and metainfo.get('categories') is not None:
            ordered = sorted(metainfo['categories'], key=lambda category: category['id'])
            names = [category['category_name'] for category in ordered]
        yield leaf, tuple(str(name) for name in (() if names is None else names))


def dataset_num_classes(dataset: Any, labels: Labels) -> int:
    """Number of classes, from class counts or names of the data sets inside wrappers, or else from
    the largest label.

    Raises ``ValueError`` if a data set names fewer classes than the labels need.
    """
    needed = int(labels.max(initial=0)) + 1
    told = []
    for leaf, names in class_names(dataset):
        counts = getattr(leaf, 'class_counts', None)
        told.append(len(names if counts is None else counts))
    if 0 < max(told) < needed and 0 not in told:
        raise ValueError(
            f'{type(unsliced(dataset)).__name__}: expected labels below {max(told)}, because it '
            f'has {max(told)} classes, got {needed - 1}'
        )
    return max(*told, needed)


def names_of_classes(dataset: Any, name: str) -> tuple[str, ...]:
    """Names of the classes of a data set, the same in all its parts; ``()`` if it has none.

    Raises ``ValueError``, which begins with ``name``, if a class stands at two indices.
    """
    known: tuple[str, ...] = ()
    for _, names in class_names(dataset):
        known, names = sorted((names, known), key=len, reverse=True)
        check_class_names(known, names, name, 'another part of it')
    return known


def check_class_names(
    expected: Sequence[str], given: Sequence[str], name: str, source: str
) -> str | None:
    """Whether classes stand where they are expected.

    Labels are indices: a list that lacks a class, or orders them otherwise, shifts what comes
    after, and the figures are those of other classes. A name that is a number says nothing, and
    names that occur twice may stand at either place.

    Args:
        expected: ``(K,)`` names of the classes, for example of the training data; may be empty.
        given: names that are compared with them; may be empty, or fewer.
        name: what they belong to, for the message.
        source: what the expected ones belong to, for the message.

    Returns:
        None, or a warning about names that differ without standing elsewhere.

    Raises:
        ValueError: if a name stands at another index, or there are more names than expected ones.
    """
    if not expected or not given:
        return None
    places: dict[str, list[int]] = {}
    for index, class_name in enumerate(expected):
        places.setdefault(class_name, []).append(index)
    others = []
    for index, class_name in enumerate(given):
        where = places.get(class_name, [])
        if class_name.isdecimal() or index in where:
            continue
        if where:
            raise ValueError(
                f'{name}: expected class {class_name!r} at index {where[0]}, as in {source}, got '
                f'it at {index}: its labels would be those of other classes. Give both the same '
                'classes=[...] and labels'
            )
        if index < len(expected) and not expected[index].isdecimal():
            others.append(f'{index} is {class_name!r}, and {expected[index]!r} there')
    if len(given) > len(expected):
        raise ValueError(
            f'{name}: expected at most {len(expected)} classes, as in {source}, got {len(given)}, '
            f'with {given[len(expected)]!r} at index {len(expected)}'
        )
    if not others:
        return None
    return (
        f'{name}: {len(others)} of {len(given)} classes have other names than in {source}; the '
        f'first: {others[0]}'
    )


def _without_repetition(dataset: Any) -> Iterator[Any]:
    """The data sets inside wrappers that list an image more than once."""
    from .paired_dataset import PairedDataset  # which reads labels by this module

    if isinstance(dataset, ConcatDataset):
        for part in dataset.datasets:
            yield from _without_repetition(part)
    elif isinstance(dataset, (RepeatDataset, ClassBalancedDataset, PairedDataset)):
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
            raise ValueError(
                f'{type(dataset).__name__}: expected a label for every image, got one without '
                f'{error}'
            ) from error
    if callable(getattr(dataset, 'get_cat_ids', None)):
        classes = [dataset.get_cat_ids(i) for i in range(len(dataset))]
        # An image with several classes stays a list, for _as_labels to refuse.
        return _as_labels([one[0] if len(one) == 1 else one for one in classes])
    raise TypeError(
        f'{type(dataset).__name__}: expected get_gt_labels() or get_cat_ids(index) for the labels, '
        'got neither'
    )
