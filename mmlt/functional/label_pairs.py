r"""Labels of a batch, hard or mixed, as a few (label, score) pairs for each image."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ['LabelPairs', 'class_presence', 'label_pairs', 'pair_shares']


class LabelPairs(NamedTuple):
    """The labels of a batch, hard or soft, as ``M`` (label, score) pairs for each image.

    Args:
        labels: ``(N, M)`` int64 in ``[0, K)``.
        scores: ``(N, M)`` in ``[0, 1]``; 0 marks padding.

    Example:
        >>> LabelPairs(torch.tensor([[2]]), torch.tensor([[1.0]])).labels.shape
        torch.Size([1, 1])
    """

    labels: Tensor
    scores: Tensor


def label_pairs(targets: Tensor, num_classes: int, max_labels: int = 2) -> LabelPairs:
    """Targets as (label, score) pairs, so that soft targets need no ``(N, K, K)`` array.

    Args:
        targets: ``(N,)`` integers, or ``(N, K)`` scores.
        num_classes: ``K``.
        max_labels: how many labels of an image with soft targets are kept, those of the largest
            scores. 2 is exact for mixup and CutMix. What lies beyond (label smoothing) is left
            out: it takes no part in the confusion.

    Returns:
        Pairs with ``M = 1`` for integers and ``M = min(max_labels, K)`` for scores.

    Raises:
        TypeError: if ``(N,)`` targets are not integers, or ``(N, K)`` targets are.
        ValueError: if the shape is neither ``(N,)`` nor ``(N, K)``, or a label lies outside
            ``[0, K)`` (checked on the CPU only: elsewhere the host would have to wait).

    Example:
        >>> label_pairs(torch.tensor([[0.3, 0.0, 0.7]]), 3)
        LabelPairs(labels=tensor([[2, 0]]), scores=tensor([[0.7000, 0.3000]]))
    """
    if max_labels < 1:
        raise ValueError(f'max_labels: expected at least 1, got {max_labels}')
    if targets.ndim == 1:
        if targets.is_floating_point() or targets.dtype == torch.bool:
            raise TypeError(f'targets: expected (N,) integers, got (N,) {targets.dtype}')
        if targets.device.type == 'cpu' and bool(((targets < 0) | (targets >= num_classes)).any()):
            raise ValueError(
                f'targets: expected labels in [0, {num_classes}), got '
                f'{int(targets.min())} .. {int(targets.max())}'
            )
        labels = targets.long()[:, None]
        return LabelPairs(labels, torch.ones_like(labels, dtype=torch.float32))
    if targets.ndim != 2 or targets.shape[1] != num_classes:
        raise ValueError(
            f'targets: expected (N,) labels or (N, {num_classes}) scores, got shape '
            f'{tuple(targets.shape)}'
        )
    if not targets.is_floating_point():
        raise TypeError(f'targets: expected (N, K) floating-point scores, got {targets.dtype}')
    scores, labels = targets.detach().topk(min(max_labels, num_classes), dim=1)
    return LabelPairs(labels, scores)


def class_presence(pairs: LabelPairs, num_classes: int) -> Tensor:
    r"""How far each class is present in a batch, :math:`\min(N_j, 1)`.

    Args:
        pairs: labels of the batch; the scores of a class sum to its :math:`N_j`.
        num_classes: ``K``.

    Returns:
        ``(K,)`` in ``[0, 1]``: 0 for an absent class, 1 for one with an image of its own,
        between them for one that occurs in mixed images only.

    Example:
        >>> class_presence(label_pairs(torch.tensor([0, 0, 2]), 3), 3)
        tensor([1., 0., 1.])
    """
    return _score_sums(pairs, num_classes).clamp(max=1)


def pair_shares(pairs: LabelPairs, num_classes: int) -> Tensor:
    r"""Weight of each pair in the row of its class, ``score / max(N_j, 1)``.

    Args:
        pairs: labels of the batch.
        num_classes: ``K``.

    Returns:
        ``(N * M,)``. With hard labels this is :math:`1 / N_j`. For a class that occurs only in
        mixed images (:math:`N_j < 1`) it is the score itself, so that a contribution stays
        linear in the score and an image mixed in with 1 % does not count as a whole one.

    Example:
        >>> pair_shares(label_pairs(torch.tensor([0, 0, 2]), 3), 3)
        tensor([0.5000, 0.5000, 1.0000])
    """
    counts = _score_sums(pairs, num_classes).clamp(min=1)
    labels = pairs.labels.reshape(-1)
    return pairs.scores.reshape(-1) / counts.index_select(0, labels)


def _score_sums(pairs: LabelPairs, num_classes: int) -> Tensor:
    scores = pairs.scores.reshape(-1)
    return scores.new_zeros(num_classes).index_add(0, pairs.labels.reshape(-1), scores)
