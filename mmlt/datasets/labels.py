"""Labels of a data set: read them out of annotations, report what is missing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from mmengine.logging import print_log

__all__ = ['Labels', 'as_labels', 'read_labels', 'report_empty_classes']

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
