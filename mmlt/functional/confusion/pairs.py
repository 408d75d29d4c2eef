r"""Hard counts of confusion pairs, ``confusion[true, predicted]``, made on the device.

Nothing here makes the host wait for the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ..sampling import draw_classes

__all__ = [
    'MIXED',
    'UNCOUNTED',
    'ConfusionLaw',
    'PairWeights',
    'add_pair_codes',
    'add_pair_codes_',
    'confusion_law',
    'draw_columns',
    'draw_confusion_pairs',
    'draw_partner_classes',
    'in_batch_partner_weights',
    'look_up_pairs',
    'pair_codes',
    'pair_weights',
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


IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ConfusionLaw:
    r"""Weighted pairs of classes, sorted by the first.

    Args:
        true: ``(E,)`` int64, true class of each pair, ascending.
        predicted: ``(E,)`` int64, the class that it was taken for.
        cumulative: ``(E + 1,)`` float64, running sum of the pairs' weights, from 0.
        row_ends: ``(K + 1,)`` int64: the pairs of true class ``k`` are
            ``row_ends[k] .. row_ends[k + 1] - 1``.

    Example:
        >>> law = confusion_law([[9, 2], [1, 9]], class_counts=[10, 10])
        >>> law.true, law.predicted, law.cumulative
        (array([0, 1]), array([1, 0]), array([0., 2., 3.]))
    """

    true: IntArray
    predicted: IntArray
    cumulative: FloatArray
    row_ends: IntArray

    def symmetrised(self) -> ConfusionLaw:
        """The law with each pair in both directions: ``counts[i, j] + counts[j, i]``.

        Args:
            None.

        Returns:
            A law of the same classes.
        """
        weights = np.diff(self.cumulative)
        return _sorted_law(
            np.concatenate([self.true, self.predicted]),
            np.concatenate([self.predicted, self.true]),
            np.concatenate([weights, weights]),
            len(self.row_ends) - 1,
        )


def confusion_law(
    counts: Tensor | NDArray[Any] | ArrayLike, class_counts: ArrayLike, normalize: bool = False
) -> ConfusionLaw:
    r"""Law of the confusion pairs in a matrix of counts.

    Args:
        counts: ``confusion[true, predicted]``, ``(K, K)``, non-negative, correct predictions on the
            diagonal: array, dense or sparse CPU tensor. Left as it is, and not copied. Correct
            predictions and classes without training images make no pair.
        class_counts: ``(K,)`` training images per class.
        normalize: divide each row by its sum, the diagonal included. The law then follows the
            error rates, and the head classes, which make most errors by their number alone, do
            not own it.

    Returns:
        The law; without any pair if no error is recorded.

    Raises:
        TypeError: if ``counts`` lies on another device than the CPU.
        ValueError: if the shapes disagree, or a count is negative or not finite.

    Reference:
        CP-Mix (Yoon et al., arXiv 2411.07621): the multiset of confusion pairs of an epoch. The
        normalisation is this project's option.

    Example:
        >>> law = confusion_law([[8, 2], [1, 0]], class_counts=[10, 1], normalize=True)
        >>> law.cumulative
        array([0. , 0.2, 1.2])
    """
    images = np.asarray(class_counts, dtype=np.int64)
    true, predicted, weights = _nonzero_entries(counts, len(images))
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError('counts: expected finite numbers of at least 0')
    if normalize:
        weights = weights / np.bincount(true, weights, minlength=len(images))[true]
    kept = (true != predicted) & (images[true] > 0) & (images[predicted] > 0)
    true, predicted, weights = true[kept], predicted[kept], weights[kept]
    return _sorted_law(true, predicted, weights, len(images))


def draw_confusion_pairs(
    law: ConfusionLaw, size: int, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Independent pairs of classes from the law.

    Args:
        law: with at least one pair.
        size: number of pairs.
        rng: source of randomness.

    Returns:
        True classes and predicted classes, ``(size,)`` each.

    Raises:
        ValueError: if the law has no pair.

    Example:
        >>> law = confusion_law([[9, 2], [0, 9]], class_counts=[10, 10])
        >>> draw_confusion_pairs(law, 2, np.random.default_rng(0))
        (array([0, 0]), array([1, 1]))
    """
    if not len(law.true):
        raise ValueError('law: no confusion pair is recorded')
    pairs = draw_classes(np.diff(law.cumulative), size, rng)
    return law.true[pairs], law.predicted[pairs]


def draw_partner_classes(
    law: ConfusionLaw, anchor_classes: NDArray[Any], fallback: ArrayLike, rng: np.random.Generator
) -> IntArray:
    """For each anchor a class from its row of the law.

    Args:
        law: usually ``confusion_law(...).symmetrised()``.
        anchor_classes: ``(n,)`` classes of the anchors.
        fallback: ``(K,)`` class law for anchors whose row has no pair.
        rng: source of randomness; the number of draws does not depend on the law.

    Returns:
        ``(n,)`` int64.

    Example:
        >>> law = confusion_law([[9, 2], [0, 9]], class_counts=[10, 10]).symmetrised()
        >>> draw_partner_classes(law, np.array([0, 1]), [1., 1.], np.random.default_rng(0))
        array([1, 0])
    """
    anchor_classes = np.asarray(anchor_classes, dtype=np.int64)
    partners = draw_classes(fallback, len(anchor_classes), rng)
    uniform = rng.random(len(anchor_classes))
    first, end = law.row_ends[anchor_classes], law.row_ends[anchor_classes + 1]
    recorded = end > first
    first, end = first[recorded], end[recorded]
    low, high = law.cumulative[first], law.cumulative[end]
    pairs = (
        np.searchsorted(law.cumulative, low + uniform[recorded] * (high - low), side='right') - 1
    )
    # Rounding may reach the next row's first pair.
    partners[recorded] = law.predicted[pairs.clip(first, end - 1)]
    return partners


def _nonzero_entries(counts: Any, num_classes: int) -> tuple[IntArray, IntArray, FloatArray]:
    if isinstance(counts, Tensor):
        if counts.device.type != 'cpu':
            raise TypeError(f'counts: expected a CPU tensor, got one on {counts.device}')
        counts = counts.detach()
    else:
        counts = np.asarray(counts)
    if tuple(counts.shape) != (num_classes, num_classes):
        raise ValueError(
            f'counts: expected shape {(num_classes, num_classes)} for {num_classes} classes, '
            f'got {tuple(counts.shape)}'
        )
    if isinstance(counts, Tensor) and counts.layout != torch.strided:
        entries = counts.to_sparse().coalesce()
        true, predicted = entries.indices().numpy()
        return true, predicted, entries.values().numpy().astype(np.float64)
    dense = counts.numpy() if isinstance(counts, Tensor) else counts
    true, predicted = np.nonzero(dense)
    return true, predicted, dense[true, predicted].astype(np.float64)


def _sorted_law(
    true: IntArray, predicted: IntArray, weights: FloatArray, num_classes: int
) -> ConfusionLaw:
    recorded = weights > 0
    true, predicted, weights = true[recorded], predicted[recorded], weights[recorded]
    # Two bytes a key make numpy sort by radix, in linear time.
    keys = true.astype(np.uint16) if num_classes <= 2**16 else true
    order = np.argsort(keys, kind='stable')
    row_ends = np.concatenate([[0], np.cumsum(np.bincount(true, minlength=num_classes))])
    return ConfusionLaw(
        true[order], predicted[order], np.concatenate([[0.0], np.cumsum(weights[order])]), row_ends
    )


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
