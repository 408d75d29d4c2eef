r"""Mixing two images of each pair, and the label of the mixture.

Images are mixed by a pasted box (CutMix) or by a weighted sum (mixup). The label is a weighted sum
as well; some methods take its weight from the pixels, others move it towards the rarer class, for
which the training images per class, ``count_i`` and ``count_j``, have to be known.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .checks import check_choice, check_integer, check_number, refuse

__all__ = [
    'LABEL_RULES',
    'cutmix_box',
    'dominant_class_counts',
    'label_weight',
    'mixed_label_weight',
    'mixup',
    'moves_label',
    'paste_box',
    'remix_label_weight',
    'unimix_factor',
]

LABEL_RULES = ('prior', 'linear', 'remix')
Number = float | Tensor


def cutmix_box(
    height: int, width: int, lam: float, centre: tuple[int, int]
) -> tuple[tuple[int, int, int, int], float]:
    r"""Box of CutMix, and the share of the image that stays outside it.

    The sides are :math:`\sqrt{1-\lambda}` of the image's, rounded down to whole pixels and then
    to an even number; what reaches over the border is cut off.

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        lam: wanted share of the background, in ``[0, 1]``.
        centre: ``(y, x)`` with ``0 <= y < height`` and ``0 <= x < width``.

    Returns:
        ``(y0, y1, x0, x1)``, ends excluded, and ``lam`` recomputed from the clipped box.

    Reference:
        CutMix (Yun et al., ICCV 2019); ConCutMix (Pan et al., IEEE TIP 2024).

    Example:
        >>> cutmix_box(8, 8, 0.75, centre=(0, 4))
        ((0, 2, 2, 6), 0.875)
    """
    check_integer('height', height, '[1, inf)')
    check_integer('width', width, '[1, inf)')
    ratio = math.sqrt(1 - check_number('lam', lam, '[0, 1]'))
    y, x = centre
    if not (0 <= y < height and 0 <= x < width):
        raise refuse('centre', f'(y, x) inside {height} x {width}', centre)
    half_height, half_width = int(height * ratio) // 2, int(width * ratio) // 2
    y0, y1 = max(y - half_height, 0), min(y + half_height, height)
    x0, x1 = max(x - half_width, 0), min(x + half_width, width)
    return (int(y0), int(y1), int(x0), int(x1)), 1 - (y1 - y0) * (x1 - x0) / (height * width)


def paste_box(images: Tensor, partner_images: Tensor, box: tuple[int, int, int, int]) -> Tensor:
    """Images with the box of their partners pasted in at the same place.

    Args:
        images: ``(N, C, H, W)`` backgrounds; left as they are.
        partner_images: ``(N, C, H, W)`` foregrounds.
        box: ``(y0, y1, x0, x1)``, ends excluded.

    Returns:
        ``(N, C, H, W)``, a new tensor.
    """
    y0, y1, x0, x1 = box
    pasted = images.clone()
    pasted[..., y0:y1, x0:x1] = partner_images[..., y0:y1, x0:x1]
    return pasted


def mixup(values: Tensor, partner_values: Tensor, weight: Tensor) -> Tensor:
    r""":math:`w\,x_i + (1-w)\,x_j` for images or for their scores, with one weight per image.

    Args:
        values: ``(N, ...)`` floating point; left as they are.
        partner_values: of the same shape.
        weight: ``(N,)`` in ``[0, 1]``. float64 keeps :math:`1-w` exact: both weights are rounded
            to the type of ``values`` only afterwards, as MMPretrain's ``Mixup`` does.

    Returns:
        ``(N, ...)`` in the type of ``values``.
    """
    shape = (-1, *[1] * (values.ndim - 1))
    first, second = weight.to(values).view(shape), (1 - weight).to(values).view(shape)
    return first * values + second * partner_values


def dominant_class_counts(scores: Tensor, class_counts: Tensor) -> Tensor:
    """Training images of the class that each image mostly belongs to.

    Args:
        scores: ``(N, K)`` labels, one-hot or soft.
        class_counts: ``(K,)`` on the same device.

    Returns:
        ``(N,)`` float64, at least 1, so that a weight stays finite.
    """
    return class_counts.to(torch.float64).clamp(min=1)[scores.argmax(dim=1)]


def mixed_label_weight(lam: Number, count_i: Number, count_j: Number, tau: float = 1.0) -> Tensor:
    r"""Weight of the first label, moved towards the rarer class.

    .. math:: \lambda_y = \frac{\lambda\, n_i^{-\tau}}
        {\lambda\, n_i^{-\tau} + (1-\lambda)\, n_j^{-\tau}}

    Args:
        lam: share of the first image, in ``[0, 1]``; scalar or ``(N,)``. Numbers out of range are
            refused on the CPU (looking at a GPU's would make the CPU wait for it).
        count_i: training images of its class, positive; scalar or ``(N,)``.
        count_j: those of the second image's class.
        tau: at least 0; 0 is mixup (``lam`` itself, bit for bit), 1 the posterior under a balanced
            prior.

    Returns:
        Scalar or ``(N,)`` in ``[0, 1]``; float64 unless ``lam`` is a floating-point tensor of
        another type.

    Reference:
        CP-Mix (Yoon et al., arXiv 2411.07621) moves the label towards the rarer class; its
        equation was not at hand, this one is the project's reading.

    Example:
        >>> mixed_label_weight(0.5, 90, 10)
        tensor(0.1000, dtype=torch.float64)
    """
    lam, count_i, count_j = _as_tensors(lam, count_i, count_j)
    # One ratio in place of two powers: at tau = 0 the denominator is exactly 1.
    odds = (count_i / count_j) ** check_number('tau', tau, '[0, inf)')
    exact = lam.to(torch.float64)
    return (exact / (exact + (1 - exact) * odds)).to(lam.dtype)


def remix_label_weight(
    lam: Number, count_i: Number, count_j: Number, kappa: float = 3.0, tau: float = 0.5
) -> Tensor:
    r"""Weight of the first label by Remix (Chou et al., ECCV workshops 2020).

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

    Example:
        >>> remix_label_weight(torch.tensor([0.4, 0.6]), 90, 10)
        tensor([0.0000, 0.6000])
    """
    check_number('kappa', kappa, '[1, inf)')
    check_number('tau', tau, '[0, 1]')
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
    """
    check_choice('rule', rule, LABEL_RULES)
    if rule == 'linear':
        return lam
    if rule == 'remix':
        return remix_label_weight(lam, count_i, count_j, kappa)
    return mixed_label_weight(lam, count_i, count_j, tau)


def moves_label(rule: str, tau: float) -> bool:
    """Whether :func:`label_weight` moves labels, so that it needs class counts.

    Args:
        rule: as there.
        tau: as there.

    Returns:
        True if labels move towards the rarer class.
    """
    return rule == 'remix' or (rule == 'prior' and tau != 0)


def unimix_factor(lam: Tensor, count_i: Tensor, count_j: Tensor) -> Tensor:
    r"""UniMix's mixing factor: ``lam`` shifted, around the circle, towards the rarer class.

    .. math:: \xi = \Big(\lambda + \frac{\pi_j}{\pi_i + \pi_j}\Big) \bmod 1

    Args:
        lam: ``(N,)`` draws from Beta(alpha, alpha), in ``[0, 1]``; with ``alpha`` below 1 most of
            them are near the ends, which the shift takes to the prior of the second class.
        count_i: ``(N,)`` training images of the first image's class.
        count_j: ``(N,)`` those of the second's.

    Returns:
        ``(N,)`` in ``[0, 1]``: share of the first image, in pixels and label.

    Reference:
        UniMix (Xu et al., NeurIPS 2021), as its released code does.
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
            raise refuse('lam', 'numbers in [0, 1]', lam)
        for name, count in zip(('count_i', 'count_j'), counts, strict=True):
            if not bool((count > 0).all()):
                raise refuse(name, 'positive numbers', count)
    return lam, counts[0], counts[1]
