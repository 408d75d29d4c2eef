r"""Rebalancing a trained classifier without training: post-hoc logit adjustment, tau-normalisation.

A classifier trained with plain cross-entropy leans towards the classes it has seen most. Both
rules take this back after training, from the class counts or from the weights alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .class_statistics import ClassCounts
from .logit_adjustment import adjust_logits

__all__ = ['adjusted_bias', 'tau_normalize']


def adjusted_bias(bias: Tensor, class_counts: ClassCounts, tau: float = 1.0) -> Tensor:
    r"""Bias of a linear classifier with post-hoc logit adjustment built in, :math:`b-\tau\log\pi`.

    Args:
        bias: ``(K,)``.
        class_counts: ``(K,)`` training images per class.
        tau: strength; 0 changes nothing, 1 matches a balanced test set.

    Returns:
        ``(K,)`` in the dtype of ``bias``.

    Raises:
        ValueError: if the shapes disagree or a class has no training image.

    Reference:
        Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, equation 9.

    Example:
        >>> adjusted_bias(torch.zeros(2), [1, 1])
        tensor([0.6931, 0.6931])
    """
    if bias.ndim != 1:
        raise ValueError(f'adjusted_bias: expected `bias` of shape (K,), got {tuple(bias.shape)}')
    if len(class_counts) != len(bias):
        raise ValueError(
            f'adjusted_bias: `class_counts` has {len(class_counts)} classes, `bias` {len(bias)}'
        )
    return adjust_logits(bias.double(), class_counts, tau).to(bias.dtype)


def tau_normalize(weight: Tensor, tau: float = 1.0) -> Tensor:
    r"""Rows of a linear classifier divided by a power of their norm, :math:`w_k/\|w_k\|^\tau`.

    The norm of a row grows with the number of training images of its class.

    Args:
        weight: ``(K, D)``, one row per class.
        tau: from 0 (nothing changes) to 1 (all rows have norm 1); tuned on a validation set.

    Returns:
        ``(K, D)`` in the dtype of ``weight``.

    Raises:
        ValueError: if ``weight`` is not a matrix or a row is zero.

    Reference:
        Kang et al., "Decoupling representation and classifier for long-tailed recognition",
        ICLR 2020, equation 4. There the classifier has no bias afterwards.

    Example:
        >>> tau_normalize(torch.tensor([[3.0, 4.0], [0.0, 0.5]]), tau=1.0)
        tensor([[0.6000, 0.8000],
                [0.0000, 1.0000]])
    """
    if weight.ndim != 2:
        raise ValueError(
            f'tau_normalize: expected `weight` of shape (K, D), got {tuple(weight.shape)}'
        )
    norm = torch.linalg.vector_norm(weight.double(), dim=1, keepdim=True)
    if bool((norm == 0).any()):
        raise ValueError('tau_normalize: a row of `weight` is zero and has no direction')
    normalized: Tensor = weight.double() / norm**tau
    return normalized.to(weight.dtype)
