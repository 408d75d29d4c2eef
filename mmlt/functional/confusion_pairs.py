r"""Hard counts of confusion pairs, ``confusion[true, predicted]``, made on the device.

Nothing here makes the host wait for the device.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = [
    'MIXED',
    'UNCOUNTED',
    'add_pair_codes',
    'add_pair_codes_',
    'pair_codes',
    'without_mixed_batches',
]

UNCOUNTED = -1
MIXED = -2


def pair_codes(logits: Tensor, targets: Tensor, mixed: str = 'skip') -> Tensor:
    """What each image adds to the confusion counts: ``true * K + predicted``.

    Args:
        logits: ``(N, K)``. The prediction is the largest; a row with NaN or Inf is not counted.
        targets: ``(N,)`` integers or ``(N, K)`` scores.
        mixed: of images whose scores are not one-hot: ``'skip'`` marks them, ``'dominant'``
            counts them for the class with the largest score.

    Returns:
        ``(N,)`` int64 in ``[0, K * K)``, or :data:`UNCOUNTED` (for a negative label too), or
        :data:`MIXED`.

    Raises:
        ValueError: if the shapes disagree or ``mixed`` is unknown.

    Reference:
        CP-Mix (Yoon et al., arXiv 2411.07621) counts the errors on training images; leaving out
        mixed ones, or their dominant label, is this project's option.

    Example:
        >>> logits = torch.tensor([[2.0, 1.0], [2.0, 1.0]])
        >>> pair_codes(logits, torch.tensor([[0.0, 1.0], [0.4, 0.6]]))
        tensor([ 2, -2])
    """
    if mixed not in ('skip', 'dominant'):
        raise ValueError(f"mixed: expected 'skip' or 'dominant', got {mixed!r}")
    if logits.ndim != 2 or targets.shape not in (logits.shape, logits.shape[:1]):
        raise ValueError(
            f'targets: expected (N,) labels or (N, K) scores for (N, K) logits, got shapes '
            f'{tuple(targets.shape)} and {tuple(logits.shape)}'
        )
    largest, predicted = logits.detach().max(dim=1)
    if targets.ndim == 1:
        true = targets.long()
    else:
        score, true = targets.detach().max(dim=1)
    counted = torch.isfinite(largest) & (true >= 0)
    codes = torch.where(counted, true * logits.shape[1] + predicted, UNCOUNTED)
    if targets.ndim == 1 or mixed == 'dominant':
        return codes
    return torch.where(score > 1 - 1e-6, codes, MIXED)


def without_mixed_batches(codes: Tensor) -> Tensor:
    """Leaves a batch out as a whole if one of its images is mixed.

    Where a batch is mixed, two images of one class make a one-hot label; counted alone, they would
    stand for classes whose other images are all left out.

    Args:
        codes: ``(N,)`` of :func:`pair_codes`, of the batch of all ranks.

    Returns:
        ``(N,)``: ``codes``, or :data:`UNCOUNTED` throughout.

    Example:
        >>> without_mixed_batches(torch.tensor([2, MIXED]))
        tensor([-1, -1])
    """
    return torch.where((codes == MIXED).any(), UNCOUNTED, codes)


def add_pair_codes(counts: Tensor, codes: Tensor) -> Tensor:
    """Counts with the images of a batch added.

    Args:
        counts: ``(K, K)`` integers or floating point; left as they are.
        codes: ``(N,)`` of :func:`pair_codes`.

    Returns:
        ``(K, K)``, a new tensor.

    Example:
        >>> add_pair_codes(torch.zeros(2, 2, dtype=torch.int32), torch.tensor([2, 2, -1]))
        tensor([[0, 0],
                [2, 0]], dtype=torch.int32)
    """
    return add_pair_codes_(counts.clone(), codes)


def add_pair_codes_(counts: Tensor, codes: Tensor) -> Tensor:
    """:func:`add_pair_codes` in place, for a module's own buffer.

    Args:
        counts: ``(K, K)``, contiguous; written to.
        codes: ``(N,)`` from :func:`pair_codes`; negative ones are not counted.

    Returns:
        ``counts``.
    """
    ones = (codes >= 0).to(counts.dtype)
    counts.view(-1).index_add_(0, codes.clamp(min=0), ones)
    return counts
