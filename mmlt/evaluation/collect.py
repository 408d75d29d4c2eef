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
    """The best classes of each image, ``(N, min(k, K))``, by scores ``(N, K)``, best first.

    With ``post_hoc_tau`` the scores are probabilities, ranked by ``log p - tau * log prior``. Where
    a score is not a number, or all are 0, all classes of the image are -1. Raises ``ValueError`` if
    the adjustment lacks class counts, or gets negative "probabilities".
    """
    # Of a row of zeros no class is the best.
    invalid = (scores.isnan().any(dim=1) | (scores == 0).all(dim=1))[:, None]
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

    The samplers of MMEngine give image ``i`` to rank ``i % world_size``, of which there is one
    ``(N_r, M)`` array each, and repeat images at the end, beyond ``size``, until every rank has the
    same number.
    """
    world_size = len(parts)
    position = np.concatenate(
        [np.arange(len(part)) * world_size + rank for rank, part in enumerate(parts)]
    )
    filled = [part for part in parts if len(part)] or list(parts[:1])
    return np.concatenate(filled)[np.argsort(position, kind='stable')][:size]
