r"""SimCLR-style views of a batch on its device, from parameters drawn on the host."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .image_ops import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    gaussian_blur,
    resized_crop,
    to_grayscale,
)
from .view_parameters import Array, ViewParameters

__all__ = ['render_views']


def render_views(
    images: Tensor, parameters: ViewParameters, size: tuple[int, int], blur_kernel: int = 13
) -> Tensor:
    """Crop, mirror, colour jitter, grayscale, blur: each image by its own parameters.

    Which images an operation meets is known on the host, so it is run on those only, and
    nothing waits for the device.

    Args:
        images: ``(N, 3, H, W)``, RGB in ``[0, 255]``, integer or floating.
        parameters: of ``N`` images.
        size: ``(height, width)`` of the views.
        blur_kernel: odd width of the Gaussian kernel; 13 holds three deviations of 2 pixels.

    Returns:
        ``(N, 3, *size)`` float32 in ``[0, 255]``.

    Raises:
        ValueError: if the images are not RGB, or their number is another.

    Example:
        >>> from .view_parameters import ViewLaw, draw_view_parameters
        >>> sizes = np.full((2, 2), 8)
        >>> drawn = draw_view_parameters(np.random.default_rng(0), sizes, ViewLaw())
        >>> render_views(torch.zeros(2, 3, 8, 8), drawn, (4, 4)).shape
        torch.Size([2, 3, 4, 4])
    """
    if images.ndim != 4 or images.shape[1] != 3 or len(images) != len(parameters.boxes):
        raise ValueError(
            f'images: expected shape ({len(parameters.boxes)}, 3, H, W), got {tuple(images.shape)}'
        )
    device = images.device
    factors = _on(parameters.factors, device)
    with torch.autocast(device.type, enabled=False):
        views = resized_crop(
            images.float(),
            _on(parameters.boxes, device),
            torch.from_numpy(parameters.flipped).to(device, non_blocking=True),
            size,
        )
        for turn in range(4):
            for kind in range(4):
                rows = _rows(parameters.jittered & (parameters.order[:, turn] == kind), device)
                if len(rows):
                    views[rows] = _jitter(views[rows], factors[rows, kind], kind)
        rows = _rows(parameters.grayed, device)
        if len(rows):
            views[rows] = to_grayscale(views[rows])
        rows = _rows(parameters.blurred, device)
        if len(rows):
            sigma = _on(parameters.sigma, device)
            views[rows] = gaussian_blur(views[rows], sigma[rows], blur_kernel)
    return views


def _jitter(images: Tensor, factor: Tensor, kind: int) -> Tensor:
    if kind == 3:
        return adjust_hue(images, factor)
    return (adjust_brightness, adjust_contrast, adjust_saturation)[kind](images, factor)


def _on(array: Array, device: torch.device) -> Tensor:
    return torch.from_numpy(array.astype(np.float32)).to(device, non_blocking=True)


def _rows(chosen: Array, device: torch.device) -> Tensor:
    return torch.from_numpy(np.flatnonzero(chosen)).to(device, non_blocking=True)
