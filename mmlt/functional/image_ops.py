r"""Image operations on batches whose images each have their own strength.

Images are ``(N, 3, H, W)`` floats in RGB order and in ``[0, high]``; a factor is ``(N,)``.
Each equals torchvision's operation on one image.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    'adjust_brightness',
    'adjust_contrast',
    'adjust_hue',
    'adjust_saturation',
    'gaussian_blur',
    'resized_crop',
    'to_grayscale',
]

# ITU-R 601 luma, as PIL and torchvision.
LUMA = (0.299, 0.587, 0.114)


def _luma(images: Tensor) -> Tensor:
    # Factors as numbers: a tensor of them would have to be copied, for which the host waits.
    red, green, blue = images.unbind(dim=1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue)[:, None]


def _blend(images: Tensor, others: Tensor | float, factor: Tensor, high: float) -> Tensor:
    factor = factor[:, None, None, None]
    return (factor * images + (1 - factor) * others).clamp(0, high)


def to_grayscale(images: Tensor) -> Tensor:
    """Luma in all three channels.

    Args:
        images: ``(N, 3, H, W)``.

    Returns:
        ``(N, 3, H, W)``.

    Example:
        >>> to_grayscale(torch.ones(1, 3, 1, 1)).flatten()
        tensor([1., 1., 1.])
    """
    return _luma(images).expand_as(images)


def adjust_brightness(images: Tensor, factor: Tensor, high: float = 255.0) -> Tensor:
    """Blend with black: 0 is black, 1 leaves the image.

    Args:
        images: ``(N, 3, H, W)`` in ``[0, high]``.
        factor: ``(N,)``, at least 0.
        high: white.

    Returns:
        ``(N, 3, H, W)``.

    Example:
        >>> adjust_brightness(torch.full((1, 3, 1, 1), 100.0), torch.tensor([0.5])).flatten()
        tensor([50., 50., 50.])
    """
    return _blend(images, 0.0, factor, high)


def adjust_contrast(images: Tensor, factor: Tensor, high: float = 255.0) -> Tensor:
    """Blend with the image's mean luma: 0 is flat, 1 leaves the image.

    Args:
        images: ``(N, 3, H, W)`` in ``[0, high]``.
        factor: ``(N,)``, at least 0.
        high: white.

    Returns:
        ``(N, 3, H, W)``.

    Example:
        >>> images = torch.tensor([0.0, 200.0]).expand(1, 3, 1, 2)
        >>> adjust_contrast(images, torch.tensor([0.5]))[0, 0]
        tensor([[ 50., 150.]])
    """
    return _blend(images, _luma(images).mean(dim=(1, 2, 3), keepdim=True), factor, high)


def adjust_saturation(images: Tensor, factor: Tensor, high: float = 255.0) -> Tensor:
    """Blend with the grey image: 0 is grey, 1 leaves the image.

    Args:
        images: ``(N, 3, H, W)`` in ``[0, high]``.
        factor: ``(N,)``, at least 0.
        high: white.

    Returns:
        ``(N, 3, H, W)``.

    Example:
        >>> red = torch.tensor([100.0, 0.0, 0.0]).view(1, 3, 1, 1)
        >>> adjust_saturation(red, torch.tensor([0.0])).flatten()
        tensor([29.9000, 29.9000, 29.9000])
    """
    return _blend(images, _luma(images), factor, high)


def adjust_hue(images: Tensor, shift: Tensor) -> Tensor:
    r"""Turn the hue circle; value and chroma stay.

    With value :math:`v`, chroma :math:`c` and hue :math:`h \in [0, 6)`, a channel is
    :math:`v - c \max(0, \min(k, 4 - k, 1))`, :math:`k = (n + h) \bmod 6`, with n = 5, 3, 1 for
    red, green, blue.

    Args:
        images: ``(N, 3, H, W)``, not negative.
        shift: ``(N,)`` in turns, ``[-0.5, 0.5]``.

    Returns:
        ``(N, 3, H, W)``.

    Example:
        >>> red = torch.tensor([9.0, 0.0, 0.0]).view(1, 3, 1, 1)
        >>> adjust_hue(red, torch.tensor([1 / 3])).flatten().round()
        tensor([0., 9., 0.])
    """
    red, green, blue = images.unbind(dim=1)
    value = images.amax(dim=1)
    chroma = value - images.amin(dim=1)
    span = torch.where(chroma > 0, chroma, 1)
    hue = torch.where(
        value == red,
        (green - blue) / span,
        torch.where(value == green, 2 + (blue - red) / span, 4 + (red - green) / span),
    )
    hue = hue + 6 * shift[:, None, None]
    k = torch.stack([hue + 5, hue + 3, hue + 1], dim=1) % 6
    return value[:, None] - chroma[:, None] * torch.minimum(k, 4 - k).clamp(0, 1)


def gaussian_blur(images: Tensor, sigma: Tensor, kernel_size: int) -> Tensor:
    """Gaussian blur with reflected borders.

    Args:
        images: ``(N, C, H, W)``.
        sigma: ``(N,)`` standard deviations in pixels, positive.
        kernel_size: odd; less than twice the image's sides.

    Returns:
        ``(N, C, H, W)``.

    Raises:
        ValueError: if ``kernel_size`` is not odd.

    Example:
        >>> gaussian_blur(torch.ones(1, 1, 3, 3), torch.tensor([2.0]), 3).mean()
        tensor(1.)
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f'kernel_size: expected an odd number, got {kernel_size}')
    num_images, channels, height, width = images.shape
    half = kernel_size // 2
    place = torch.arange(-half, half + 1, dtype=images.dtype, device=images.device)
    kernel = torch.softmax(-0.5 * (place / sigma[:, None]) ** 2, dim=1)
    kernel = kernel.repeat_interleave(channels, dim=0)[:, None]
    rows = F.pad(images, (half, half, half, half), mode='reflect').reshape(
        1, num_images * channels, height + 2 * half, width + 2 * half
    )
    groups = num_images * channels
    blurred = F.conv2d(
        F.conv2d(rows, kernel[:, :, :, None], groups=groups), kernel[:, :, None, :], groups=groups
    )
    return blurred.view(images.shape)


def resized_crop(images: Tensor, boxes: Tensor, flipped: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut a box out of each image, resize it bilinearly, and mirror where asked.

    Args:
        images: ``(N, C, H, W)``.
        boxes: ``(N, 4)`` top, left, height, width as fractions of the image.
        flipped: ``(N,)`` booleans.
        size: ``(height, width)`` of the result.

    Returns:
        ``(N, C, *size)``.

    Example:
        >>> images = torch.arange(4.0).view(1, 1, 1, 4)
        >>> right_half = torch.tensor([[0.0, 0.5, 1.0, 0.5]])
        >>> resized_crop(images, right_half, torch.tensor([True]), (1, 2))
        tensor([[[[3., 2.]]]])
    """
    top, left, height, width = boxes.to(images.dtype).unbind(dim=1)
    zero = torch.zeros_like(top)
    across = torch.where(flipped, -width, width)
    theta = torch.stack(
        [
            torch.stack([across, zero, 2 * left + width - 1], dim=1),
            torch.stack([zero, height, 2 * top + height - 1], dim=1),
        ],
        dim=1,
    )
    grid = F.affine_grid(theta, [*images.shape[:2], *size], align_corners=False)
    return F.grid_sample(images, grid, padding_mode='border', align_corners=False)
