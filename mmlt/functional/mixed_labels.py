r"""Label weights of mixed images: linear, by the class prior (CP-Mix), Remix, and UniMix's factor.

Throughout ``i`` is the first image, with weight ``lam`` in the pixels, and ``j`` the second.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = [
    'LABEL_RULES',
    'label_weight',
    'mixed_label_weight',
    'remix_label_weight',
    'unimix_factor',
]

LABEL_RULES = ('prior', 'linear', 'remix')
Number = float | Tensor


def mixed_label_weight(lam: Number, count_i: Number, count_j: Number, tau: float = 1.0) -> Tensor:
    r"""Weight of the first label, moved towards the rarer class.

    .. math:: \lambda_y = \frac{\lambda\, n_i^{-\tau}}
        {\lambda\, n_i^{-\tau} + (1-\lambda)\, n_j^{-\tau}}

    Args:
        lam: share of the first image, in ``[0, 1]``; scalar or ``(N,)``.
        count_i: training images of its class, positive; scalar or ``(N,)``.
        count_j: those of the second image's class.
        tau: 0 is mixup (``lam`` itself, bit for bit), 1 the posterior under a balanced prior.

    Returns:
        Scalar or ``(N,)`` in ``[0, 1]``; float64 unless ``lam`` is a floating-point tensor of
        another type.

    Raises:
        ValueError: if ``tau`` is negative or, on the CPU, a count is not positive or ``lam`` out
            of range (elsewhere the host would have to wait for the device).

    Reference:
        CP-Mix (Yoon et al., arXiv 2411.07621) moves the label towards the rarer class; its
        equation was not at hand, this one is the project's reading.

    Example:
        >>> mixed_label_weight(0.5, 90, 10)
        tensor(0.1000, dtype=torch.float64)
        >>> mixed_label_weight(0.5, 90, 10, tau=0)
        tensor(0.5000, dtype=torch.float64)
    """
    if tau < 0:
        raise ValueError(f'tau: expected a number of at least 0, got {tau}')
    lam, count_i, count_j = _as_tensors(lam, count_i, count_j)
    # One ratio in place of two powers: at tau = 0 the denominator is exactly 1.
    odds = (count_i / count_j) ** tau
    exact = lam.to(torch.float64)
    return (exact / (exact + (1 - exact) * odds)).to(lam.dtype)


def remix_label_weight(
    lam: Number, count_i: Number, count_j: Number, kappa: float = 3.0, tau: float = 0.5
) -> Tensor:
    r"""Weight of the first label by Remix: the whole label to a much rarer class.

    It is 0 where :math:`n_i / n_j \ge \kappa` and :math:`\lambda < \tau`, 1 where
    :math:`n_i / n_j \le 1/\kappa` and :math:`1-\lambda < \tau`, and :math:`\lambda` elsewhere.

    Args:
        lam: share of the first image, in ``[0, 1]``; scalar or ``(N,)``.
        count_i: training images of its class, positive; scalar or ``(N,)``.
        count_j: those of the second image's class.
        kappa: imbalance between the two classes from which on the rule acts, at least 1.
        tau: the rarer class must have more than ``1 - tau`` of the pixels, in ``[0, 1]``.

    Returns:
        Scalar or ``(N,)`` in ``[0, 1]``.

    Raises:
        ValueError: if ``kappa`` or ``tau`` is out of range; see :func:`mixed_label_weight` for
            counts and ``lam``.

    Reference:
        Remix (Chou et al., ECCV workshops 2020).

    Example:
        >>> remix_label_weight(torch.tensor([0.4, 0.6]), 90, 10)
        tensor([0.0000, 0.6000])
    """
    if kappa < 1:
        raise ValueError(f'kappa: expected a number of at least 1, got {kappa}')
    if not 0 <= tau <= 1:
        raise ValueError(f'tau: expected a number in [0, 1], got {tau}')
    lam, count_i, count_j = _as_tensors(lam, count_i, count_j)
    # As products: a quotient such as 1 / 3 is not exact.
    second_is_rare = (count_i >= kappa * count_j) & (lam < tau)
    first_is_rare = (kappa * count_i <= count_j) & (1 - lam < tau)
    weight = torch.where(second_is_rare, torch.zeros_like(lam), lam)
    return torch.where(first_is_rare, torch.ones_like(lam), weight)


def label_weight(
    rule: str, lam: Tensor, count_i: Tensor, count_j: Tensor, tau: float = 1.0, kappa: float = 3.0
) -> Tensor:
    """Weight of the first label by a named rule.

    Args:
        rule: ``'prior'`` (:func:`mixed_label_weight`), ``'linear'`` (``lam``) or ``'remix'``
            (:func:`remix_label_weight` with its ``tau`` of 0.5).
        lam: ``(N,)`` share of the first image.
        count_i: ``(N,)`` training images of its class.
        count_j: ``(N,)`` those of the second image's class.
        tau: of ``'prior'``.
        kappa: of ``'remix'``.

    Returns:
        ``(N,)``.

    Raises:
        ValueError: for another rule.

    Example:
        >>> lam, one = torch.tensor([0.25]), torch.ones(1)
        >>> label_weight('linear', lam, 9 * one, one)
        tensor([0.2500])
    """
    if rule == 'prior':
        return mixed_label_weight(lam, count_i, count_j, tau)
    if rule == 'remix':
        return remix_label_weight(lam, count_i, count_j, kappa)
    if rule == 'linear':
        return lam
    raise ValueError(f'label_rule: expected one of {", ".join(LABEL_RULES)}, got {rule!r}')


def unimix_factor(lam: Tensor, count_i: Tensor, count_j: Tensor) -> Tensor:
    r"""UniMix's mixing factor: ``lam`` shifted, around the circle, towards the rarer class.

    .. math:: \xi = \Big(\lambda + \frac{\pi_j}{\pi_i + \pi_j}\Big) \bmod 1

    With ``alpha`` below 1, the ends of the circle are where Beta has most of its mass; the shift
    takes them to the prior of the second class.

    Args:
        lam: ``(N,)`` draws from Beta(alpha, alpha), in ``[0, 1]``.
        count_i: ``(N,)`` training images of the first image's class.
        count_j: ``(N,)`` those of the second's.

    Returns:
        ``(N,)`` in ``[0, 1]``: share of the first image, in pixels and label.

    Raises:
        ValueError: as in :func:`mixed_label_weight`.

    Reference:
        UniMix (Xu et al., NeurIPS 2021), as its released code does.

    Example:
        >>> unimix_factor(torch.tensor([0.0, 0.2, 1.0]), torch.tensor(90), torch.tensor(10))
        tensor([0.1000, 0.3000, 0.1000])
    """
    lam, count_i, count_j = _as_tensors(lam, count_i, count_j)
    shifted = lam + count_j / (count_i + count_j)
    return (shifted - (shifted > 1).to(shifted)).clamp(0, 1).to(lam.dtype)


def _as_tensors(lam: Number, count_i: Number, count_j: Number) -> tuple[Tensor, Tensor, Tensor]:
    if not isinstance(lam, Tensor):
        lam = torch.tensor(lam, dtype=torch.float64)
    counts = [
        torch.as_tensor(count, device=lam.device).to(torch.float64) for count in (count_i, count_j)
    ]
    if lam.device.type == 'cpu':
        if not bool(((lam >= 0) & (lam <= 1)).all()):
            raise ValueError(f'lam: expected numbers in [0, 1], got {lam}')
        for name, count in zip(('count_i', 'count_j'), counts, strict=True):
            if not bool((count > 0).all()):
                raise ValueError(f'{name}: expected positive numbers, got {count}')
    return lam, counts[0], counts[1]
