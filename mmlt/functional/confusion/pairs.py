r"""Which classes are mistaken for each other: counted from predictions, then drawn as pairs.

Counting runs on the device and never makes the CPU wait for it. The counts of an epoch become a
:class:`PairDistribution`, from which the next epoch draws the classes of anchors and partners.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ..checks import check_choice, check_flag, refuse
from ..sampling import draw_classes

__all__ = [
    'MIXED',
    'UNCOUNTED',
    'PairDistribution',
    'confusion_entries',
    'count_entries_',
    'draw_columns',
    'pair_distribution',
    'without_mixed_batches',
]

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

UNCOUNTED = -1
MIXED = -2


def confusion_entries(logits: Tensor, targets: Tensor, mixed: str = 'skip') -> Tensor:
    """The entry of the confusion matrix that each image adds to: ``true * K + predicted``.

    CP-Mix (Yoon et al., arXiv 2411.07621) counts the errors on training images. Leaving out mixed
    images, or counting their dominant label, is this project's option.

    Args:
        logits: ``(N, K)``. The prediction is the largest; a row with NaN or Inf is not counted.
        targets: ``(N,)`` integers or ``(N, K)`` scores.
        mixed: what to do with images whose scores are not one-hot: ``'skip'`` marks them,
            ``'dominant'`` counts them for the class with the largest score.

    Returns:
        ``(N,)`` int64 in ``[0, K * K)``, :data:`UNCOUNTED` (also for a label out of range) or
        :data:`MIXED`.

    Example:
        >>> logits = torch.tensor([[2.0, 1.0], [2.0, 1.0]])
        >>> confusion_entries(logits, torch.tensor([[0.0, 1.0], [0.4, 0.6]]))
        tensor([ 2, -2])
    """
    if logits.ndim != 2 or targets.shape not in (logits.shape, logits.shape[:1]):
        expected = f'(N,) labels or (N, K) scores for logits of shape {tuple(logits.shape)}'
        raise refuse('targets', expected, tuple(targets.shape))
    check_choice('mixed', mixed, ('skip', 'dominant'))
    largest, predicted = logits.detach().max(dim=1)
    if targets.ndim == 1:
        if targets.is_floating_point() or targets.dtype == torch.bool:
            raise refuse('targets', 'integers', targets.dtype)
        score, true = torch.ones_like(targets, dtype=torch.float32), targets.long()
    else:
        score, true = targets.detach().max(dim=1)
    counted = torch.isfinite(largest) & (true >= 0) & (true < logits.shape[1])
    entries = torch.where(counted, true * logits.shape[1] + predicted, UNCOUNTED)
    return entries if mixed == 'dominant' else torch.where(score > 1 - 1e-6, entries, MIXED)


def without_mixed_batches(entries: Tensor) -> Tensor:
    """Leaves a batch out as a whole if one of its images is mixed.

    In a mixed batch, two images of one class still make a one-hot label. Counting those alone
    would overstate classes that often meet themselves.

    Args:
        entries: ``(N,)`` of :func:`confusion_entries`, for the batch of all ranks.

    Returns:
        ``(N,)``: ``entries``, or :data:`UNCOUNTED` throughout.
    """
    return torch.where((entries == MIXED).any(), UNCOUNTED, entries)


def count_entries_(counts: Tensor, entries: Tensor) -> Tensor:
    """Adds the images of a batch to the counts, in place.

    Args:
        counts: ``(K, K)``, contiguous; written to.
        entries: ``(N,)`` of :func:`confusion_entries`; negative ones are not counted.

    Returns:
        ``counts``.
    """
    counts.view(-1).index_add_(0, entries.clamp(min=0), (entries >= 0).to(counts.dtype))
    return counts


class PairDistribution:
    """Weighted pairs of classes, to draw from: for a whole epoch, or within one batch.

    Only pairs with a positive weight are stored, so the size follows the errors on record and
    not ``K * K``.

    Args:
        first: ``(E,)`` int64, first class of each pair.
        second: ``(E,)`` int64, second class.
        weights: ``(E,)`` float64, non-negative, in proportion; pairs may repeat.
        num_classes: ``K``.
    """

    def __init__(
        self, first: IntArray, second: IntArray, weights: FloatArray, num_classes: int
    ) -> None:
        positive = weights > 0
        first, second, weights = first[positive], second[positive], weights[positive]
        # Two bytes per key make numpy sort by radix, in linear time.
        order = np.argsort(
            first.astype(np.uint16) if num_classes <= 2**16 else first, kind='stable'
        )
        self.num_classes = num_classes
        self.first, self.second, self.weights = first[order], second[order], weights[order]
        self._cumulative = np.concatenate([[0.0], np.cumsum(self.weights)])
        # The pairs of first class k are row_ends[k] .. row_ends[k + 1] - 1.
        self._row_ends = np.concatenate([[0], np.cumsum(np.bincount(first, minlength=num_classes))])
        self._table: tuple[Tensor, Tensor] | None = None

    def __len__(self) -> int:
        """Pairs on record."""
        return len(self.first)

    def symmetrised(self) -> PairDistribution:
        """Each pair in both directions.

        Returns:
            A distribution in which ``i, j`` weighs as much as ``j, i``.
        """
        return PairDistribution(
            np.concatenate([self.first, self.second]),
            np.concatenate([self.second, self.first]),
            np.concatenate([self.weights, self.weights]),
            self.num_classes,
        )

    def draw_pairs(self, size: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        """Independent pairs; at least one has to be on record.

        Args:
            size: number of pairs.
            rng: source of randomness.

        Returns:
            First and second classes, ``(size,)`` int64 each.
        """
        drawn = draw_classes(self.weights, size, rng)
        return self.first[drawn], self.second[drawn]

    def draw_partners(
        self, anchor_classes: NDArray[Any], fallback: ArrayLike, rng: np.random.Generator
    ) -> IntArray:
        """For each anchor the second class of one of the pairs that its class is the first of.

        Args:
            anchor_classes: ``(n,)`` integers.
            fallback: ``(K,)`` probabilities of the partner's class, for anchors whose class has
                no pair on record.
            rng: source of randomness; how much is drawn from it does not depend on the pairs.

        Returns:
            ``(n,)`` int64.

        Example:
            >>> pairs = pair_distribution([[9, 2], [0, 9]]).symmetrised()
            >>> pairs.draw_partners(np.array([0, 1]), [1.0, 1.0], np.random.default_rng(0))
            array([1, 0])
        """
        partners = draw_classes(fallback, len(anchor_classes), rng)
        uniform = rng.random(len(anchor_classes))
        start, end = self._row_ends[anchor_classes], self._row_ends[anchor_classes + 1]
        recorded = end > start
        start, end = start[recorded], end[recorded]
        low, high = self._cumulative[start], self._cumulative[end]
        wanted = low + uniform[recorded] * (high - low)
        drawn = np.searchsorted(self._cumulative, wanted, side='right') - 1
        # Rounding may reach the first pair of the next class.
        partners[recorded] = self.second[drawn.clip(start, end - 1)]
        return partners

    def partner_weights(self, anchors: Tensor, candidates: Tensor) -> Tensor:
        """How likely each image of a batch is to become each anchor's partner.

        Among the classes in the batch, the partner's class follows the weights of its pairs with
        the anchor's class; the image is uniform within its class. An anchor whose class has no
        pair with any of them gets a class-balanced partner: class uniform, then image. CP-Mix draws
        from the whole training set; this is for configs without a paired loader.

        Args:
            anchors: ``(N,)`` int64 classes.
            candidates: ``(M,)`` int64 classes of the images to choose from, on the same device.

        Returns:
            ``(N, M)`` float64, non-negative, rows not normalised; each has a positive entry.

        Example:
            >>> pairs = pair_distribution([[0, 0, 3], [0, 0, 0], [0, 0, 0]]).symmetrised()
            >>> pairs.partner_weights(torch.tensor([0, 1]), torch.tensor([0, 1, 1, 2]))
            tensor([[0.0000, 0.0000, 0.0000, 3.0000],
                    [1.0000, 0.5000, 0.5000, 1.0000]], dtype=torch.float64)
        """
        keys, weights = self._table_on(candidates.device)
        wanted = anchors[:, None] * self.num_classes + candidates
        position = torch.searchsorted(keys, wanted)
        found = torch.where(keys[position] == wanted, weights[position], 0.0)
        images = weights.new_zeros(self.num_classes)
        images.index_add_(0, candidates, weights.new_ones(len(candidates)))
        balanced = (1 / images[candidates]).expand(len(anchors), -1)
        recorded = (found > 0).any(dim=1, keepdim=True)
        return torch.where(recorded, found * balanced, balanced)

    def _table_on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Sorted keys ``first * K + second`` and the weight of each, to be looked up."""
        if self._table is None:
            keys, position = np.unique(
                self.first * self.num_classes + self.second, return_inverse=True
            )
            weights = np.bincount(position, self.weights, minlength=len(keys))
            # A last key that is no pair: the look-up always finds a place, also without any pair.
            self._table = (
                torch.from_numpy(np.append(keys, self.num_classes**2)),
                torch.from_numpy(np.append(weights, 0.0)),
            )
        if self._table[0].device != device:
            on_device = [part.to(device) for part in self._table]
            self._table = on_device[0], on_device[1]
        return self._table


def pair_distribution(
    counts: Tensor | NDArray[Any] | ArrayLike,
    class_counts: ArrayLike | None = None,
    normalize: bool = False,
) -> PairDistribution:
    """Distribution of (true, predicted) classes, from counted predictions.

    Args:
        counts: ``confusion[true, predicted]``, ``(K, K)``, finite and non-negative; an array, a
            dense or a sparse CPU tensor. The diagonal (correct predictions) makes no pair.
        class_counts: ``(K,)`` training images per class; classes without any make no pair. None:
            all classes have images.
        normalize: divide each row by its sum, the diagonal included. The weights are error rates
            then; as counts they are dominated by the head classes, which make most errors simply
            because they have most images.

    Returns:
        The distribution; without any pair if no error is recorded.

    Reference:
        CP-Mix (Yoon et al., arXiv 2411.07621): the multiset of confusion pairs of an epoch. The
        normalisation is this project's option.

    Example:
        >>> pair_distribution([[8, 2], [1, 0]], normalize=True).weights
        array([0.2, 1. ])
    """
    check_flag('normalize', normalize)
    true, predicted, weights, num_classes = _nonzero_entries(counts)
    images = np.ones(num_classes) if class_counts is None else np.asarray(class_counts)
    if len(images) != num_classes:
        raise refuse('counts', f'shape {(len(images),) * 2}', (num_classes, num_classes))
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise refuse('counts', 'finite numbers of at least 0', float(weights.min()))
    if normalize:
        weights = weights / np.bincount(true, weights, minlength=num_classes)[true]
    kept = (true != predicted) & (images[true] > 0) & (images[predicted] > 0)
    return PairDistribution(true[kept], predicted[kept], weights[kept], num_classes)


def _nonzero_entries(counts: Any) -> tuple[IntArray, IntArray, FloatArray, int]:
    if isinstance(counts, Tensor) and counts.device.type != 'cpu':
        raise refuse('counts', 'a CPU tensor', counts.device)
    counts = counts.detach() if isinstance(counts, Tensor) else np.asarray(counts)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise refuse('counts', 'shape (K, K)', tuple(counts.shape))
    if isinstance(counts, Tensor) and counts.layout != torch.strided:
        entries = counts.to_sparse().coalesce()
        (true, predicted), values = entries.indices().numpy(), entries.values().numpy()
    else:
        dense = counts.numpy() if isinstance(counts, Tensor) else counts
        true, predicted = np.nonzero(dense)
        values = dense[true, predicted]
    return true, predicted, values.astype(np.float64), counts.shape[0]


def draw_columns(weights: Tensor, uniform: Tensor) -> Tensor:
    """One column for each row, with a probability proportional to its weight.

    Args:
        weights: ``(N, M)`` non-negative, each row with a positive entry.
        uniform: ``(N,)`` uniform numbers in ``[0, 1)``.

    Returns:
        ``(N,)`` int64 in ``[0, M)``, never a column of weight 0.
    """
    # In integers the running sum is exact, and deterministic on a GPU as well.
    shares = weights.double() / weights.amax(dim=1, keepdim=True)
    cumulative = (shares * 2.0**40).round().long().cumsum(dim=1)
    total = cumulative[:, -1:]
    wanted = torch.minimum((uniform.double()[:, None] * total).long(), total - 1)
    return torch.searchsorted(cumulative, wanted, right=True)[:, 0]
