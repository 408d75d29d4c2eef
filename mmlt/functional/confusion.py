r"""Soft, differentiable class confusion of a batch, and its moving average."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    'LabelPairs',
    'blend_confusion',
    'class_presence',
    'confusion_rows',
    'label_pairs',
    'soft_confusion',
    'top_confused_pairs',
]


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
                f'{int(targets.min())} .. {int(targets.max())}')
        labels = targets.long()[:, None]
        return LabelPairs(labels, torch.ones_like(labels, dtype=torch.float32))
    if targets.ndim != 2 or targets.shape[1] != num_classes:
        raise ValueError(
            f'targets: expected (N,) labels or (N, {num_classes}) scores, got shape '
            f'{tuple(targets.shape)}')
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


def confusion_rows(logits: Tensor, labels: Tensor, margin: float = 0.0, temperature: float = 1.0,
                   detach_gate: bool = False, detach_baseline: bool = False) -> Tensor:
    r"""What each image adds to the confusion row of its class.

    .. math:: \sigma(m + f_i - f_y) \cdot \operatorname{softmax}(f / T)_i, \quad
        0 \text{ at } i = y

    Args:
        logits: ``(P, K)``.
        labels: ``(P,)`` integers.
        margin: ``m``, in units of a logit.
        temperature: ``T``, positive.
        detach_gate: let no gradient through the sigmoid.
        detach_baseline: let no gradient through the subtracted ``f_y``. The softmax does not
            change when its argument is shifted, so this acts on the sigmoid only.

    Returns:
        ``(P, K)`` in ``[0, 1]``.

    Example:
        >>> confusion_rows(torch.zeros(1, 2), torch.tensor([0]))
        tensor([[0.0000, 0.2500]])
    """
    column = labels[:, None]
    baseline = logits.gather(1, column)
    gate = torch.sigmoid(margin + logits - (baseline.detach() if detach_baseline else baseline))
    if detach_gate:
        gate = gate.detach()
    return (gate * torch.softmax(logits / temperature, dim=1)).scatter(1, column, 0.0)


def soft_confusion(logits: Tensor, targets: Tensor, margin: float = 0.0, temperature: float = 1.0,
                   detach_gate: bool = False, detach_baseline: bool = False,
                   max_labels: int = 2) -> Tensor:
    r"""Soft confusion of a batch, ``confusion[true, predicted]``.

    .. math:: \tilde c_{ji} = \frac{1}{N_j} \sum_{q: y_q = j}
        \sigma(m + f_{qi} - f_{qj}) \, \operatorname{softmax}((f_q - f_{qj}) / T)_i

    Args:
        logits: ``(N, K)``.
        targets: ``(N,)`` integers, or ``(N, K)`` scores; an image then adds to the row of each of
            its labels, in proportion to the score (see :func:`pair_shares`).
        margin: ``m``; the paper takes a small one, the released code 0.
        temperature: ``T``, positive.
        detach_gate: no gradient through the sigmoid (released code: True; paper: False).
        detach_baseline: no gradient through the subtracted ``f_j`` (released code: True).
        max_labels: labels kept of an image with soft targets, see :func:`label_pairs`.

    Returns:
        ``(K, K)``, differentiable in ``logits``; the diagonal and the rows of absent classes
        are 0.

    Raises:
        ValueError: if the shapes disagree, a label is out of range, or ``temperature`` is not
            positive.

    Reference:
        CAR (Zhu et al., CVPR 2026), soft confusion matrix. The released code stores the
        transpose and detaches both the gate and its baseline.

    Example:
        >>> soft_confusion(torch.zeros(2, 2), torch.tensor([0, 0]))
        tensor([[0.0000, 0.2500],
                [0.0000, 0.0000]])
    """
    if logits.ndim != 2 or targets.shape[:1] != logits.shape[:1]:
        raise ValueError(
            'logits: expected (N, K) with one row per target, got shape '
            f'{tuple(logits.shape)} for targets {tuple(targets.shape)}')
    if temperature <= 0:
        raise ValueError(f'temperature: expected a positive number, got {temperature}')
    num_classes = logits.shape[1]
    pairs = label_pairs(targets, num_classes, max_labels)
    labels = pairs.labels.reshape(-1)
    rows = confusion_rows(logits.repeat_interleave(pairs.labels.shape[1], dim=0), labels, margin,
                          temperature, detach_gate, detach_baseline)
    shares = pair_shares(pairs, num_classes).to(rows.dtype)
    return rows.new_zeros(num_classes, num_classes).index_add(0, labels, rows * shares[:, None])


def blend_confusion(previous: Tensor, batch: Tensor, presence: Tensor, beta: float = 0.5,
                    absent_classes: str = 'decay') -> Tensor:
    r"""Moving average of confusion, :math:`C_t = \beta C_{t-1} + (1 - \beta)\,\tilde c_t`.

    The plain form, for reading and testing; training goes through
    :func:`mmlt.functional.confusion_norm_`, which needs no second ``(K, K)`` array.

    Args:
        previous: ``(K, K)``, the past; usually without gradient.
        batch: ``(K, K)`` from :func:`soft_confusion`.
        presence: ``(K,)`` from :func:`class_presence`.
        beta: memory, in ``[0, 1)``.
        absent_classes: ``'decay'``: rows of absent classes shrink by ``beta`` (paper and released
            code); ``'hold'``: only the rows of present classes move.

    Returns:
        ``(K, K)``.

    Raises:
        ValueError: if ``beta`` or ``absent_classes`` is out of range.

    Reference:
        CAR, the EMA of the confusion matrix; ``'hold'`` is this project's option.

    Example:
        >>> ones = torch.ones(2, 2)
        >>> blend_confusion(ones, 0 * ones, torch.tensor([1.0, 0.0]), 0.5, 'hold')
        tensor([[0.5000, 0.5000],
                [1.0000, 1.0000]])
    """
    if not 0 <= beta < 1:
        raise ValueError(f'beta: expected a number in [0, 1), got {beta}')
    if absent_classes == 'decay':
        return beta * previous + (1 - beta) * batch
    if absent_classes == 'hold':
        return (1 - (1 - beta) * presence)[:, None] * previous + (1 - beta) * batch
    raise ValueError(f"absent_classes: expected 'decay' or 'hold', got {absent_classes!r}")


def top_confused_pairs(confusion: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The largest entries of a confusion matrix.

    Args:
        confusion: ``(K, K)``, ``confusion[true, predicted]``, diagonal 0.
        count: how many; fewer come back where the matrix has fewer entries.

    Returns:
        True classes, predicted classes (int64) and values, each ``(count,)``, largest first.

    Example:
        >>> top_confused_pairs(torch.tensor([[0.0, 0.1], [0.4, 0.0]]), 1)
        (tensor([1]), tensor([0]), tensor([0.4000]))
    """
    values, positions = confusion.flatten().topk(min(count, confusion.numel()))
    columns = confusion.shape[1]
    return positions.div(columns, rounding_mode='floor'), positions % columns, values


def _score_sums(pairs: LabelPairs, num_classes: int) -> Tensor:
    scores = pairs.scores.reshape(-1)
    return scores.new_zeros(num_classes).index_add(0, pairs.labels.reshape(-1), scores)
