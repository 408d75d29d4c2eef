r"""Soft, differentiable class confusion of a batch, and its moving average."""

from __future__ import annotations

import torch
from torch import Tensor

from .label_pairs import label_pairs, pair_shares

__all__ = ['blend_confusion', 'confusion_rows', 'soft_confusion', 'top_confused_pairs']


def confusion_rows(
    logits: Tensor,
    labels: Tensor,
    margin: float = 0.0,
    temperature: float = 1.0,
    detach_gate: bool = False,
    detach_baseline: bool = False,
) -> Tensor:
    r"""What each image adds to the confusion row of its class.

    .. math:: \sigma(m + f_i - f_y) \cdot \operatorname{softmax}((f - f_y) / T)_i, \quad
        0 \text{ at } i = y

    Args:
        logits: ``(P, K)``.
        labels: ``(P,)`` integers.
        margin: ``m``, in units of a logit.
        temperature: ``T``, positive.
        detach_gate: let no gradient through the sigmoid.
        detach_baseline: let no gradient through the ``f_y`` that the softmax subtracts. As a
            softmax does not change when its argument is shifted, this changes nothing but
            rounding; it exists because the released code does it.

    Returns:
        ``(P, K)`` in ``[0, 1]``.

    Example:
        >>> confusion_rows(torch.zeros(1, 2), torch.tensor([0]))
        tensor([[0.0000, 0.2500]])
    """
    column = labels[:, None]
    baseline = logits.gather(1, column)
    gate = torch.sigmoid(margin + logits - baseline)
    if detach_gate:
        gate = gate.detach()
    if detach_baseline:
        baseline = baseline.detach()
    probability = torch.softmax((logits - baseline) / temperature, dim=1)
    return (gate * probability).scatter(1, column, 0.0)


def soft_confusion(
    logits: Tensor,
    targets: Tensor,
    margin: float = 0.0,
    temperature: float = 1.0,
    detach_gate: bool = False,
    detach_baseline: bool = False,
    max_labels: int = 2,
) -> Tensor:
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
        detach_baseline: no gradient through the ``f_j`` in the softmax (released code: True),
            which changes nothing, see :func:`confusion_rows`.
        max_labels: labels kept of an image with soft targets, see :func:`label_pairs`.

    Returns:
        ``(K, K)``, differentiable in ``logits``; the diagonal and the rows of absent classes
        are 0.

    Raises:
        ValueError: if the shapes disagree, a label is out of range, or ``temperature`` is not
            positive.

    Reference:
        CAR (Zhu et al., CVPR 2026), soft confusion matrix. The released code stores the
        transpose, and detaches the gate and the softmax's baseline.

    Example:
        >>> soft_confusion(torch.zeros(2, 2), torch.tensor([0, 0]))
        tensor([[0.0000, 0.2500],
                [0.0000, 0.0000]])
    """
    if logits.ndim != 2 or targets.shape[:1] != logits.shape[:1]:
        raise ValueError(
            'logits: expected (N, K) with one row per target, got shape '
            f'{tuple(logits.shape)} for targets {tuple(targets.shape)}'
        )
    if temperature <= 0:
        raise ValueError(f'temperature: expected a positive number, got {temperature}')
    num_classes = logits.shape[1]
    pairs = label_pairs(targets, num_classes, max_labels)
    pairs = pairs._replace(scores=pairs.scores.to(logits.dtype))
    labels = pairs.labels.reshape(-1)
    rows = confusion_rows(
        logits.repeat_interleave(pairs.labels.shape[1], dim=0),
        labels,
        margin,
        temperature,
        detach_gate,
        detach_baseline,
    )
    shares = pair_shares(pairs, num_classes)
    return rows.new_zeros(num_classes, num_classes).index_add(0, labels, rows * shares[:, None])


def blend_confusion(
    previous: Tensor,
    batch: Tensor,
    presence: Tensor,
    beta: float = 0.5,
    absent_classes: str = 'decay',
) -> Tensor:
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
