"""From data samples of MMPretrain to rows of true class and ranked predictions.

A row of a few integers per image is all that is kept, so that evaluation needs little memory even
with 8,142 classes, and ranks have little to exchange.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmlt.functional.logit_adjustment import adjust_logits

__all__ = ['interleave_ranks', 'rank_classes', 'true_labels']


def true_labels(data_samples: Sequence[dict[str, Any]]) -> Tensor:
    """Labels ``(N,)`` of a batch; ``ValueError`` if an image has not exactly one."""
    for sample in data_samples:
        if 'gt_label' not in sample or sample['gt_label'].numel() != 1:
            given = sample['gt_label'].numel() if 'gt_label' in sample else 'none'
            raise ValueError(
                'gt_label: expected one label per image (single-label data with ground truth), '
                f'got {given}'
            )
    return torch.cat([sample['gt_label'].reshape(1) for sample in data_samples])


def rank_classes(
    scores: Tensor, k: int, class_counts: Sequence[int] | None = None, post_hoc_tau: float = 0.0
) -> Tensor:
    """The best ``k`` classes of each image.

    Args:
        scores: ``(N, K)``; probabilities if ``post_hoc_tau`` is not 0.
        k: how many; all ``K`` if it is larger.
        class_counts: ``(K,)`` training images per class, for the adjustment.
        post_hoc_tau: rank by ``log p - tau * log prior``; 0 ranks by the scores as they are.

    Returns:
        ``(N, min(k, K))`` integers, best first; -1 throughout where a score is not a number.

    Raises:
        ValueError: if the adjustment lacks class counts, or gets negative "probabilities".

    Example:
        >>> rank_classes(torch.tensor([[0.6, 0.4]]), k=2)
        tensor([[0, 1]])
        >>> rank_classes(torch.tensor([[0.6, 0.4]]), k=2, class_counts=[9, 1], post_hoc_tau=1.0)
        tensor([[1, 0]])
    """
    invalid = scores.isnan().any(dim=1, keepdim=True)
    if post_hoc_tau:
        if class_counts is None:
            raise ValueError(
                'post_hoc_tau: expected to know the training class counts, got none; add '
                "default_hooks = dict(long_tail=dict(type='LongTailHook'))"
            )
        if bool((scores < 0).any()):
            raise ValueError(
                'post_hoc_tau: expected probabilities in pred_score (a head that ends in a '
                'softmax), got negative values'
            )
        scores = adjust_logits(scores.float().log(), class_counts, post_hoc_tau)
    best = scores.topk(min(k, scores.shape[1]), dim=1).indices
    return best.masked_fill(invalid, -1)


def interleave_ranks(parts: Sequence[NDArray[np.int32]], size: int) -> NDArray[np.int32]:
    """Rows of all ranks in the order of the data set, without the images that pad the ranks.

    The samplers of MMEngine give image ``i`` to rank ``i % world_size`` and repeat images at the
    end until every rank has the same number.

    Args:
        parts: one ``(N_r, M)`` array per rank, in rank order; lengths may differ by one where the
            sampler does not pad.
        size: images in the data set; what follows is padding.

    Returns:
        ``(min(size, sum N_r), M)``.

    Example:
        >>> interleave_ranks([np.array([[0], [2]]), np.array([[1], [0]])], size=3).ravel()
        array([0, 1, 2])
    """
    world_size = len(parts)
    position = np.concatenate(
        [np.arange(len(part)) * world_size + rank for rank, part in enumerate(parts)]
    )
    filled = [part for part in parts if len(part)] or list(parts[:1])
    return np.concatenate(filled)[np.argsort(position, kind='stable')][:size]
