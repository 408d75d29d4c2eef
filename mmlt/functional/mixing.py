r"""Mixing two batches: CutMix box and paste; images and scores by one weight an image."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = [
    'cutmix_box',
    'dominant_class_counts',
    'mix_images',
    'mix_scores',
    'paste_box',
    'per_image',
]


def cutmix_box(
    height: int, width: int, lam: float, centre: tuple[int, int]
) -> tuple[tuple[int, int, int, int], float]:
    r"""Box of CutMix, and the share of the image that stays outside it.

    The sides are :math:`\sqrt{1-\lambda}` of the image's, rounded down to whole pixels and then
    to an even number; what reaches over the border is cut off, and :math:`\lambda` follows from
    the area that is left.

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        lam: wanted share of the background, in ``[0, 1]``.
        centre: ``(y, x)`` with ``0 <= y < height`` and ``0 <= x < width``.

    Returns:
        ``(y0, y1, x0, x1)``, ends excluded, and ``lam`` recomputed from the clipped box.

    Raises:
        ValueError: if a size is not positive, ``lam`` out of range or the centre outside.

    Reference:
        CutMix (Yun et al., ICCV 2019); ConCutMix (Pan et al., IEEE TIP 2024).

    Example:
        >>> cutmix_box(8, 8, 0.75, centre=(0, 4))
        ((0, 2, 2, 6), 0.875)
    """
    if height <= 0 or width <= 0:
        raise ValueError(f'height, width: expected positive sizes, got {height} and {width}')
    if not 0 <= lam <= 1:
        raise ValueError(f'lam: expected a number in [0, 1], got {lam}')
    y, x = centre
    if not (0 <= y < height and 0 <= x < width):
        raise ValueError(f'centre: expected (y, x) inside {height} x {width}, got {centre}')
    ratio = math.sqrt(1 - lam)
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

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> paste_box(torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2), (0, 1, 1, 2)).flatten()
        tensor([0., 1., 0., 0.])
    """
    _check_same_shape(images, partner_images)
    y0, y1, x0, x1 = box
    pasted = images.clone()
    pasted[..., y0:y1, x0:x1] = partner_images[..., y0:y1, x0:x1]
    return pasted


def mix_images(images: Tensor, partner_images: Tensor, lam: Tensor) -> Tensor:
    r""":math:`\lambda x_i + (1-\lambda) x_j` with one :math:`\lambda` for each image.

    Args:
        images: ``(N, ...)`` floating point; left as they are.
        partner_images: of the same shape.
        lam: ``(N,)`` in ``[0, 1]``. float64 keeps :math:`1-\lambda` exact: both weights are
            rounded to the images' type only then, as MMPretrain's ``Mixup`` does.

    Returns:
        ``(N, ...)`` in the type of ``images``.

    Raises:
        TypeError: if the images are integers.
        ValueError: if the shapes differ.

    Reference:
        mixup (Zhang et al., ICLR 2018).

    Example:
        >>> mix_images(torch.ones(2, 1), torch.zeros(2, 1), torch.tensor([1.0, 0.25])).flatten()
        tensor([1.0000, 0.2500])
    """
    _check_same_shape(images, partner_images)
    if not images.is_floating_point():
        raise TypeError(f'images: expected floating-point images, got {images.dtype}')
    first = per_image(lam, images)
    second = per_image(1 - lam, images)
    return first * images + second * partner_images


def dominant_class_counts(scores: Tensor, class_counts: Tensor) -> Tensor:
    """Training images of the class that each image mostly belongs to.

    Args:
        scores: ``(N, K)`` labels, one-hot or soft.
        class_counts: ``(K,)`` on the same device.

    Returns:
        ``(N,)`` float64, at least 1: a class without training images counts as one with a single
        image, so that a weight stays finite.

    Example:
        >>> dominant_class_counts(torch.tensor([[0.1, 0.9], [1.0, 0.0]]), torch.tensor([50, 2]))
        tensor([ 2., 50.], dtype=torch.float64)
    """
    return class_counts.to(torch.float64).clamp(min=1)[scores.argmax(dim=1)]


def mix_scores(scores: Tensor, partner_scores: Tensor, weight: Tensor) -> Tensor:
    """``weight`` of the first scores and ``1 - weight`` of the second.

    Args:
        scores: ``(N, K)`` floating point.
        partner_scores: ``(N, K)``.
        weight: ``(N,)`` in ``[0, 1]``; both weights are rounded to the scores' type.

    Returns:
        ``(N, K)``, a new tensor; rows sum to 1 if those of both arguments do.

    Raises:
        ValueError: if the shapes disagree.

    Example:
        >>> mix_scores(torch.tensor([[1., 0.]]), torch.tensor([[0., 1.]]), torch.tensor([0.25]))
        tensor([[0.2500, 0.7500]])
    """
    if scores.shape != partner_scores.shape:
        raise ValueError(
            f'partner_scores: expected shape {tuple(scores.shape)}, got '
            f'{tuple(partner_scores.shape)}'
        )
    return per_image(weight, scores) * scores + per_image(1 - weight, scores) * partner_scores


def per_image(weight: Tensor, like: Tensor) -> Tensor:
    """Weights ``(N,)`` in the type of ``like`` and shaped to multiply it.

    Args:
        weight: ``(N,)``.
        like: ``(N, ...)``.

    Returns:
        ``(N, 1, ...)`` with as many dimensions as ``like``.

    Raises:
        ValueError: if there is not one weight for each of the ``N``.

    Example:
        >>> per_image(torch.ones(2), torch.zeros(2, 3, 4, 4)).shape
        torch.Size([2, 1, 1, 1])
    """
    if weight.shape != like.shape[:1]:
        raise ValueError(
            f'weight: expected one for each of {like.shape[0]} images, got shape '
            f'{tuple(weight.shape)}'
        )
    return weight.to(like).view(-1, *[1] * (like.ndim - 1))


def _check_same_shape(images: Tensor, partner_images: Tensor) -> None:
    if images.shape != partner_images.shape:
        raise ValueError(
            'partner_images: expected one partner of the same size for each image '
            f'{tuple(images.shape)}, got {tuple(partner_images.shape)}'
        )
