r"""What the training class counts imply: prior, shots, frequency and effective-number weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .checks import check_flag, check_integer, check_number, refuse

__all__ = [
    'class_prior',
    'count_labels',
    'effective_number_weights',
    'frequency_weights',
    'shot_groups',
    'validate_class_counts',
]

ClassCounts = Sequence[int] | Tensor | np.ndarray[Any, Any]


def validate_class_counts(class_counts: ClassCounts, allow_empty: bool = True) -> Tensor:
    """Class counts as a float64 tensor, checked.

    Args:
        class_counts: ``(K,)`` training images per class; a list, an array or a tensor.
        allow_empty: accept classes without images.

    Returns:
        ``(K,)`` float64 on the device of the argument.

    Raises:
        ValueError: unless they are finite, at least 0, and positive for some class (for every
            class unless ``allow_empty``).
    """
    if isinstance(class_counts, Tensor):
        counts = class_counts.detach().to(torch.float64)
    else:
        try:
            array = np.asarray(class_counts)
        except ValueError:  # lists of different lengths
            array = np.asarray(None)
        flags = isinstance(class_counts, (list, tuple)) and bool in map(type, class_counts)
        if flags or array.dtype.kind not in 'iuf':
            raise refuse('class_counts', 'one number per class', class_counts)
        counts = torch.as_tensor(array.astype(np.float64))
    if counts.ndim != 1 or counts.numel() == 0:
        raise ValueError(
            f'class_counts: expected one number per class, got shape {tuple(counts.shape)}'
        )
    if not bool(torch.isfinite(counts).all()) or bool((counts < 0).any()):
        raise ValueError(
            'class_counts: expected finite numbers of at least 0, got '
            f'{float(counts.min())} .. {float(counts.max())}'
        )
    if float(counts.sum()) <= 0:
        raise ValueError('class_counts: expected an image in some class, got only zeros')
    if not allow_empty and bool((counts == 0).any()):
        empty = torch.nonzero(counts == 0).flatten()
        shown = ', '.join(str(int(k)) for k in empty[:10])
        raise ValueError(
            'class_counts: expected training images in every class, got none in '
            f'{len(empty)} of {len(counts)} classes (class {shown}'
            f'{", ..." if len(empty) > 10 else ""}); lower num_classes if the labels end before, '
            "remove the classes, or leave them out with empty_classes='ignore' where it exists"
        )
    return counts


def count_labels(labels: Sequence[int] | np.ndarray[Any, Any], num_classes: int) -> list[int]:
    """Images per class.

    Args:
        labels: ``(M,)`` integers in ``[0, num_classes)``; others raise a ``ValueError``.
        num_classes: ``K``.

    Returns:
        ``K`` integers.

    Example:
        >>> count_labels([0, 2, 2], 4)
        [1, 0, 2, 0]
    """
    check_integer('num_classes', num_classes, '[1, inf)')
    array = np.asarray(labels).reshape(-1)
    if array.size and array.dtype.kind not in 'iu':
        raise refuse('labels', 'integers', array.dtype)
    array = array.astype(np.int64)
    if array.size and (array.min() < 0 or array.max() >= num_classes):
        raise ValueError(
            f'labels: expected integers in [0, {num_classes}), got '
            f'{int(array.min())} .. {int(array.max())}'
        )
    return [int(count) for count in np.bincount(array, minlength=num_classes)]


def class_prior(class_counts: ClassCounts) -> Tensor:
    r"""Class frequencies :math:`\pi_k = n_k / \sum_j n_j`.

    Args:
        class_counts: ``(K,)`` training images per class.

    Returns:
        ``(K,)`` float64, sums to 1.

    Example:
        >>> class_prior([3, 1])
        tensor([0.7500, 0.2500], dtype=torch.float64)
    """
    counts = validate_class_counts(class_counts)
    return counts / counts.sum()


def shot_groups(
    class_counts: ClassCounts, many_threshold: int = 100, few_threshold: int = 20
) -> dict[str, np.ndarray[Any, Any]]:
    """Many-, medium- and few-shot classes.

    Args:
        class_counts: ``(K,)`` training images per class.
        many_threshold: a class with more images than this is many-shot.
        few_threshold: a class with fewer images than this is few-shot; at most
            ``many_threshold + 1``, so that no class is both.

    Returns:
        ``many``, ``medium`` and ``few``: three ``(K,)`` bool arrays that partition the classes.

    Reference:
        Liu et al., Large-Scale Long-Tailed Recognition in an Open World, CVPR 2019, section 4.

    Example:
        >>> shot_groups([500, 100, 20, 19])['medium']
        array([False,  True,  True, False])
    """
    check_number('few_threshold', few_threshold)
    if few_threshold > check_number('many_threshold', many_threshold) + 1:
        expected = f'at most many_threshold + 1 = {many_threshold + 1}'
        raise refuse('few_threshold', expected, few_threshold)
    counts = validate_class_counts(class_counts).cpu().numpy()
    many, few = counts > many_threshold, counts < few_threshold
    return {'many': many, 'medium': ~(many | few), 'few': few}


def frequency_weights(
    class_counts: ClassCounts, r0: float = 0.2, normalize: bool = False
) -> Tensor:
    r"""Weights that grow as a class gets rarer, :math:`\lambda_k = (\pi_k + r_0)^{-1/2}`.

    Args:
        class_counts: ``(K,)`` training images per class.
        r0: smoothing, at least 0, and positive if a class is empty; the larger, the flatter. With
            0.2 the largest weight of ImageNet-LT is 1.01 times the smallest.
        normalize: divide by the mean, as the released code does.

    Returns:
        ``(K,)`` float64, positive, no unit.

    Reference:
        CAR (Zhu et al., CVPR 2026), the class weights of the weighted confusion matrix.

    Example:
        >>> frequency_weights([3, 1], r0=0.25)
        tensor([1.0000, 1.4142], dtype=torch.float64)
    """
    check_number('r0', r0, '[0, inf)')
    check_flag('normalize', normalize)
    counts = validate_class_counts(class_counts, allow_empty=r0 > 0)
    weights = (counts / counts.sum() + r0).rsqrt()
    return weights / weights.mean() if normalize else weights


def effective_number_weights(class_counts: ClassCounts, beta: float = 0.9999) -> Tensor:
    r"""Class-balanced weights :math:`w_k \propto (1-\beta)/(1-\beta^{n_k})`.

    Args:
        class_counts: ``(K,)`` training images per class.
        beta: in ``[0, 1)``; 0 gives equal weights, towards 1 the inverse counts.

    Returns:
        ``(K,)`` float64, mean 1 over the classes that have images; an empty class has weight 0.

    Reference:
        Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019, eq. 2
        and section 4; LDAM's deferred re-weighting uses the same weights.

    Example:
        >>> effective_number_weights([10, 10])
        tensor([1., 1.], dtype=torch.float64)
    """
    check_number('beta', beta, '[0, 1)')
    counts = validate_class_counts(class_counts)
    present = counts > 0
    weights = (1 - beta) / (1 - beta ** counts.clamp(min=1))
    weights = torch.where(present, weights, torch.zeros_like(weights))
    return weights * (present.sum() / weights.sum())
