r"""Logit adjustment: cross-entropy that knows the class prior, for hard and soft targets."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .class_statistics import ClassCounts, class_prior, validate_class_counts

__all__ = ['adjust_logits', 'cross_entropy', 'log_prior', 'logit_adjusted_cross_entropy']


def log_prior(class_counts: ClassCounts, empty_classes: str = 'error') -> Tensor:
    r""":math:`\log \pi_k`, the offset that logit adjustment scales by tau.

    Args:
        class_counts: ``(K,)`` training images per class.
        empty_classes: ``'error'``, or ``'ignore'`` to leave classes without images out
            (their entry is ``-inf``).

    Returns:
        ``(K,)`` float64.

    Raises:
        ValueError: for an empty class with ``'error'``, or an unknown ``empty_classes``.

    Example:
        >>> log_prior([1, 1]).exp()
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """
    if empty_classes not in ('error', 'ignore'):
        raise ValueError(f"empty_classes: expected 'error' or 'ignore', got {empty_classes!r}")
    validate_class_counts(class_counts, allow_empty=empty_classes == 'ignore')
    return class_prior(class_counts).log()


def adjust_logits(logits: Tensor, class_counts: ClassCounts, tau: float = 1.0) -> Tensor:
    r"""Post-hoc logit adjustment :math:`f_k - \tau \log \pi_k`, for a model trained without it.

    Args:
        logits: ``(N, K)``; log-probabilities serve as well, the difference is constant in a row.
        class_counts: ``(K,)`` training images per class, none of them 0.
        tau: strength; 0 changes nothing.

    Returns:
        ``(N, K)``, same dtype; the arg-max is the prediction for a uniform class prior.

    Reference:
        Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021, eq. 9.

    Example:
        >>> adjust_logits(torch.tensor([[1.0, 0.9]]), [90, 10]).argmax(1)
        tensor([1])
    """
    return logits - (tau * log_prior(class_counts)).to(logits)


def cross_entropy(
    logits: Tensor, targets: Tensor, weight: Tensor | None = None, reduction: str = 'mean'
) -> Tensor:
    r"""Cross-entropy through ``log_softmax`` that leaves out classes whose logit is ``-inf``.

    Args:
        logits: ``(N, K)``.
        targets: ``(N,)`` integers, or ``(N, K)`` scores whose rows sum to 1.
        weight: ``(K,)`` class weights.
        reduction: ``'mean'``, ``'sum'`` or ``'none'``. With class weights the mean is divided by
            the weights of the targets, for soft targets too (torch divides those by ``N``), so
            that mixed and unmixed batches have one scale.

    Returns:
        Scalar, or ``(N,)`` with ``'none'``.

    Raises:
        ValueError: if the shapes disagree.

    Example:
        >>> cross_entropy(torch.zeros(1, 2), torch.tensor([0]))
        tensor(0.6931)
    """
    if logits.ndim != 2 or targets.shape not in (logits.shape, logits.shape[:1]):
        raise ValueError(
            f'expected logits (N, K) and targets (N,) or (N, K), got {tuple(logits.shape)} '
            f'and {tuple(targets.shape)}'
        )
    if targets.ndim == 1:
        return F.cross_entropy(logits, targets, weight=weight, reduction=reduction)
    log_probabilities = F.log_softmax(logits, dim=1)
    log_probabilities = log_probabilities.masked_fill(logits == -torch.inf, 0.0)
    shares = targets.to(log_probabilities.dtype)
    if weight is not None:
        shares = shares * weight
    losses = -(shares * log_probabilities).sum(dim=1)
    if reduction == 'none':
        return losses
    if reduction == 'sum':
        return losses.sum()
    return losses.mean() if weight is None else losses.sum() / shares.sum()


def logit_adjusted_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    class_counts: ClassCounts,
    tau: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = 'mean',
    empty_classes: str = 'error',
) -> Tensor:
    r"""Logit-compensated cross-entropy :math:`\mathrm{CE}(f + \tau \log \pi, t)`.

    Args:
        logits: ``(N, K)``, unadjusted.
        targets: ``(N,)`` integers, or ``(N, K)`` scores whose rows sum to 1.
        class_counts: ``(K,)`` training images per class.
        tau: strength of the compensation; 0 is plain cross-entropy, 1 Balanced Softmax.
        weight: ``(K,)`` class weights.
        reduction: ``'mean'``, ``'sum'`` or ``'none'``; see :func:`cross_entropy`.
        empty_classes: what to do with a class without training images: ``'error'``, or
            ``'ignore'`` to leave it out of the softmax.

    Returns:
        Scalar, or ``(N,)`` with ``'none'``.

    Raises:
        ValueError: if shapes disagree, or for an empty class.

    Reference:
        Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021, eq. 10; the released
        code of BCL takes the logarithm of a softmax, whose gradient is NaN from a logit gap of
        about 60 in float32, while this uses ``log_softmax``.

    Example:
        >>> logit_adjusted_cross_entropy(torch.zeros(1, 2), torch.tensor([1]), [3, 1])
        tensor(1.3863)
    """
    offset = log_prior(class_counts, empty_classes)
    if logits.ndim != 2 or logits.shape[1] != offset.shape[0]:
        raise ValueError(
            f'expected logits (N, {offset.shape[0]}) for {offset.shape[0]} class counts, got '
            f'{tuple(logits.shape)}'
        )
    # tau = 0 must not turn the -inf of a left-out class into NaN
    offset = torch.where(offset == -torch.inf, offset, tau * offset)
    return cross_entropy(logits + offset.to(logits), targets, weight, reduction)
