r"""Partners within a batch, by the law of the confusion pairs, drawn on the device.

Only :func:`pair_weights`, which is for once an epoch, makes the host wait for the device.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    'PairWeights',
    'draw_columns',
    'in_batch_partner_weights',
    'look_up_pairs',
    'pair_weights',
]


class PairWeights(NamedTuple):
    """Symmetric weights of class pairs, of which only those above 0 are stored.

    Args:
        keys: ``(E + 1,)`` int64, ``i * K + j`` ascending; the last, ``K * K``, is no pair.
        weights: ``(E + 1,)`` float64; the last is 0.
        num_classes: ``K``.

    Example:
        >>> PairWeights(torch.tensor([1, 4]), torch.tensor([2.0, 0.0]), 2).num_classes
        2
    """

    keys: Tensor
    weights: Tensor
    num_classes: int

    def to(self, device: torch.device) -> PairWeights:
        """The same on another device.

        Args:
            device: where to.

        Returns:
            A copy, or the same tensors if they are there already.
        """
        return PairWeights(self.keys.to(device), self.weights.to(device), self.num_classes)


def pair_weights(counts: Tensor, normalize: bool = False) -> PairWeights:
    """Symmetrised weights of the class pairs: ``counts[i, j] + counts[j, i]``.

    Args:
        counts: ``confusion[true, predicted]``, ``(K, K)``, non-negative, dense or sparse; correct
            predictions, on the diagonal, make no pair.
        normalize: divide each row by its sum first, the diagonal included, so that the law follows
            error rates and the head classes do not own it.

    Returns:
        The weights, on the device of ``counts``.

    Raises:
        ValueError: if a shape is wrong, or a count negative or not finite.

    Example:
        >>> pair_weights(torch.tensor([[7, 2], [1, 7]])).weights
        tensor([3., 3., 0.], dtype=torch.float64)
    """
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(f'counts: expected shape (K, K), got {tuple(counts.shape)}')
    num_classes = counts.shape[0]
    entries = (counts.to_sparse() if counts.layout == torch.strided else counts).coalesce()
    (true, predicted), values = entries.indices(), entries.values().to(torch.float64)
    if not bool((torch.isfinite(values) & (values >= 0)).all()):
        raise ValueError('counts: expected finite numbers of at least 0')
    if normalize:
        values = values / values.new_zeros(num_classes).index_add(0, true, values)[true]
    wrong = (true != predicted) & (values > 0)
    true, predicted, values = true[wrong], predicted[wrong], values[wrong]
    both = torch.cat([true * num_classes + predicted, predicted * num_classes + true])
    keys, position = torch.unique(both, return_inverse=True)
    sums = values.new_zeros(len(keys)).index_add(0, position, torch.cat([values, values]))
    # An entry that no pair has keeps the look-up free of a special case for "no errors".
    return PairWeights(
        torch.cat([keys, keys.new_tensor([num_classes**2])]),
        torch.cat([sums, sums.new_zeros(1)]),
        num_classes,
    )


def look_up_pairs(pairs: PairWeights, first: Tensor, second: Tensor) -> Tensor:
    """Weight of each pair of classes.

    Args:
        pairs: the weights.
        first: int64 classes.
        second: int64 classes, of a shape that broadcasts with that of ``first``.

    Returns:
        float64 of the common shape; 0 for pairs that are not stored.

    Example:
        >>> pairs = pair_weights(torch.tensor([[7, 2], [1, 7]]))
        >>> look_up_pairs(pairs, torch.tensor([0, 0]), torch.tensor([0, 1]))
        tensor([0., 3.], dtype=torch.float64)
    """
    wanted = first * pairs.num_classes + second
    position = torch.searchsorted(pairs.keys, wanted.contiguous())
    return torch.where(pairs.keys[position] == wanted, pairs.weights[position], 0.0)


def in_batch_partner_weights(pairs: PairWeights, anchors: Tensor, candidates: Tensor) -> Tensor:
    r"""How likely each image of the batch is to become each anchor's partner.

    The class follows the law of the anchor's class among the classes in the batch, the image is
    uniform within the class. An anchor whose class was confused with none of the batch's classes
    gets the balanced law: class uniform, then image.

    Args:
        pairs: the weights of the class pairs.
        anchors: ``(N,)`` int64 classes.
        candidates: ``(M,)`` int64 classes of the images to choose from.

    Returns:
        ``(N, M)`` float64, non-negative, rows not normalised; each has a positive entry.

    Reference:
        CP-Mix draws from the whole training set; the law within a batch is this project's form
        for users without a paired loader.

    Example:
        >>> pairs = pair_weights(torch.tensor([[0, 0, 3], [0, 0, 0], [0, 0, 0]]))
        >>> classes = torch.tensor([0, 1, 1, 2])
        >>> in_batch_partner_weights(pairs, classes[:2], classes)
        tensor([[0.0000, 0.0000, 0.0000, 3.0000],
                [1.0000, 0.5000, 0.5000, 1.0000]], dtype=torch.float64)
    """
    images = torch.zeros(pairs.num_classes, dtype=torch.float64, device=candidates.device)
    images.index_add_(0, candidates, torch.ones_like(candidates, dtype=torch.float64))
    balanced = (1 / images[candidates]).expand(len(anchors), -1)
    law = look_up_pairs(pairs, anchors[:, None], candidates[None, :]) * balanced
    recorded = (law > 0).any(dim=1, keepdim=True)
    return torch.where(recorded, law, balanced)


def draw_columns(weights: Tensor, uniform: Tensor) -> Tensor:
    """One column for each row, with a probability proportional to its weight.

    Args:
        weights: ``(N, M)`` non-negative, each row with a positive entry.
        uniform: ``(N,)`` uniform numbers in ``[0, 1)``.

    Returns:
        ``(N,)`` int64 in ``[0, M)``, never a column of weight 0.

    Raises:
        ValueError: if the shapes disagree.

    Example:
        >>> draw_columns(torch.tensor([[0., 1., 3.], [2., 0., 0.]]), torch.tensor([0.5, 0.9]))
        tensor([2, 0])
    """
    if weights.ndim != 2 or uniform.shape != weights.shape[:1]:
        raise ValueError(
            f'uniform: expected one number for each row of {tuple(weights.shape)} '
            f'weights, got shape {tuple(uniform.shape)}'
        )
    # In integers the running sum is exact, and deterministic on a GPU as well.
    shares = weights.double() / weights.amax(dim=1, keepdim=True)
    cumulative = (shares * 2.0**40).round().long().cumsum(dim=1)
    total = cumulative[:, -1:]
    wanted = torch.minimum((uniform.double()[:, None] * total).long(), total - 1)
    return torch.searchsorted(cumulative, wanted, right=True)[:, 0]
