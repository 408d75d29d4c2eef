"""Crop, mirror, AutoAugment and Cutout of a batch where the model is, each image by its own draw.

Which images an operation meets is known on the CPU, so it is run on those only, and the CPU never
waits for the device. Images are ``(N, 3, H, W)`` uint8, RGB.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import AutoAugment, AutoAugmentPolicy
from torchvision.transforms import functional as tv

from .batch_augments.randomness import to_device

__all__ = ['auto_augment', 'crop_and_flip', 'cut_out', 'draw_auto_augment']

Array = np.ndarray[Any, Any]

#: Operations that move pixels; the others change colours.
MOVING = ('Rotate', 'ShearX', 'ShearY', 'TranslateX', 'TranslateY')


def crop_and_flip(images: Tensor, corners: Array, flipped: Array, padding: int) -> Tensor:
    """Crops of the size of the images, out of images with a black border, some mirrored.

    Args:
        images: ``(N, C, H, W)``.
        corners: ``(N, 2)`` top and left of the crop, in ``[0, 2 * padding]``.
        flipped: ``(N,)``, which are mirrored.
        padding: width of the border.
    """
    height, width = images.shape[2:]
    rows = corners[:, :1] + np.arange(height)
    columns = corners[:, 1:] + np.arange(width)
    columns = np.where(flipped[:, None], columns[:, ::-1], columns)
    places = (to_device(rows[:, :, None], images), to_device(columns[:, None], images))
    return _picked(F.pad(images, [padding] * 4), *places)


def cut_out(images: Tensor, centres: Array, side: int) -> Tensor:
    """Images that lost a square, as :class:`mmlt.datasets.ClippedCutout` places it.

    Args:
        images: ``(N, C, H, W)``.
        centres: ``(N, 2)`` row and column of a pixel, int64.
        side: of the square; what lies outside the image is lost.
    """
    corners = to_device(centres - side // 2, images)
    height, width = images.shape[2:]
    down = torch.arange(height, device=images.device) - corners[:, :1]
    right = torch.arange(width, device=images.device) - corners[:, 1:]
    gone = ((down >= 0) & (down < side))[:, :, None] & ((right >= 0) & (right < side))[:, None]
    return images.masked_fill(gone[:, None], 0)


@lru_cache
def _policies(size: tuple[int, int]) -> tuple[Array, Array, Array, Array]:
    """Of torchvision's CIFAR-10 policies, ``(P, 2)`` each: operation, probability, magnitude, and
    whether that has either sign."""
    augment = AutoAugment(AutoAugmentPolicy.CIFAR10)
    space = augment._augmentation_space(10, size)
    names, probabilities, magnitudes, signed = [], [], [], []
    for policy in augment.policies:
        for name, probability, level in policy:
            values, has_sign = space[name]
            names.append(name)
            probabilities.append(probability)
            magnitudes.append(0.0 if level is None else float(values[level]))
            signed.append(has_sign)
    parts = (names, probabilities, magnitudes, signed)
    first, second, third, fourth = (np.array(part).reshape(-1, 2) for part in parts)
    return first, second, third, fourth


def draw_auto_augment(
    rng: np.random.Generator, number: int, size: tuple[int, int]
) -> tuple[Array, Array]:
    """What torchvision's AutoAugment with the policy of CIFAR-10 does to each image.

    Args:
        rng: source of randomness.
        number: of images.
        size: ``(height, width)`` of the images.

    Returns:
        Names of two operations ``(N, 2)``, ``''`` for none, and their signed magnitudes.
    """
    names, probabilities, magnitudes, signed = _policies(size)
    chosen = rng.integers(len(names), size=number)
    applied = rng.random((number, 2)) <= probabilities[chosen]
    signs = np.where(signed[chosen], rng.choice([-1.0, 1.0], (number, 2)), 1.0)
    return np.where(applied, names[chosen], ''), signs * magnitudes[chosen]


def auto_augment(images: Tensor, names: Array, magnitudes: Array, fill: int) -> Tensor:
    """Operations of torchvision's AutoAugment, one column of them after the other.

    Args:
        images: ``(N, 3, H, W)`` uint8; they are not changed.
        names: ``(N, T)`` operations, ``''`` for none.
        magnitudes: ``(N, T)``, signed, in the units of torchvision.
        fill: grey value of pixels that come from outside.
    """
    images = images.clone()
    with torch.autocast(images.device.type, enabled=False):
        for turn in range(names.shape[1]):
            kinds, values = names[:, turn], magnitudes[:, turn]
            for name, recoloured in _RECOLOURED.items():
                _apply(images, kinds == name, values, recoloured)
            moved = np.isin(kinds, MOVING)
            size = (images.shape[2], images.shape[3])
            matrices = _matrices(kinds[moved], values[moved], size)
            _apply(images, moved, values, partial(_moved, matrices=matrices, fill=fill))
    return images


def _apply(
    images: Tensor, chosen: Array, magnitudes: Array, operation: Callable[[Tensor, Array], Tensor]
) -> None:
    """Put the results of an operation in the place of the chosen images."""
    rows = np.flatnonzero(chosen)
    if len(rows):
        where = to_device(rows, images)
        images[where] = operation(images[where], magnitudes[rows])


def _blended(degenerate: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Array], Tensor]:
    """From an image without colour, contrast or the like, through the image, beyond it."""

    def enhanced(images: Tensor, magnitudes: Array) -> Tensor:
        factors = _per_image(1 + magnitudes.astype(np.float32), images)
        start = degenerate(images).float()
        return (start + factors * (images.float() - start)).clamp(0, 255).to(torch.uint8)

    return enhanced


def _mean_grey(images: Tensor) -> Tensor:
    grey = tv.rgb_to_grayscale(images).float().mean(dim=(1, 2, 3), keepdim=True)
    return (grey + 0.5).floor()


def _smoothed(images: Tensor) -> Tensor:
    # torchvision's writes one number into a kernel on the device, and waits for it.
    inner = images[..., 1:-1, 1:-1].float()
    smooth = images.float()
    smooth[..., 1:-1, 1:-1] = ((9 * F.avg_pool2d(smooth, 3, 1) + 4 * inner) / 13).round()
    return smooth


def _autocontrast(images: Tensor, _: Array) -> Tensor:
    # torchvision's assigns numbers by a mask, which may wait for the device.
    lowest = images.amin(dim=(2, 3), keepdim=True).float()
    spread = images.amax(dim=(2, 3), keepdim=True).float() - lowest
    stretched = (images.float() - lowest) * (255 / spread.clamp(min=1))
    return torch.where(spread > 0, stretched.clamp(0, 255).to(torch.uint8), images)


def _equalize(images: Tensor, _: Array) -> Tensor:
    # That of the older functions takes one image at a time, and waits for the device.
    from torchvision.transforms.v2.functional import equalize

    equalized: Tensor = equalize(images)
    return equalized


def _posterize(images: Tensor, magnitudes: Array) -> Tensor:
    kept = 256 - 2 ** (8 - magnitudes.astype(np.int64))
    return images & _per_image(kept.astype(np.uint8), images)


def _solarize(images: Tensor, magnitudes: Array) -> Tensor:
    thresholds = _per_image(magnitudes.astype(np.float32), images)
    return torch.where(images < thresholds, images, 255 - images)


_RECOLOURED: dict[str, Callable[[Tensor, Array], Tensor]] = {
    'Brightness': _blended(torch.zeros_like),
    'Color': _blended(lambda images: tv.rgb_to_grayscale(images, 3)),
    'Contrast': _blended(_mean_grey),
    'Sharpness': _blended(_smoothed),
    'Posterize': _posterize,
    'Solarize': _solarize,
    'AutoContrast': _autocontrast,
    'Equalize': _equalize,
    'Invert': lambda images, _: 255 - images,
}


def _matrices(names: Array, magnitudes: Array, size: tuple[int, int]) -> Array:
    """``(N, 2, 3)``, from the place ``(x, y, 1)`` of a pixel to where it comes from."""
    height, width = size

    def of(name: str) -> Array:
        values = np.where(names == name, magnitudes, 0.0)
        return np.trunc(values) if name.startswith('Translate') else values

    angle = np.radians(of('Rotate'))
    cosine, sine = np.cos(angle), np.sin(angle)
    x, y = width / 2, height / 2  # the centre of a rotation
    # The others are of one kind at a time, so that the sums below hold one term each.
    return np.stack(
        [
            np.stack(
                [cosine, of('ShearX') - sine, x - cosine * x + sine * y - of('TranslateX')], axis=1
            ),
            np.stack(
                [sine + of('ShearY'), cosine, y - sine * x - cosine * y - of('TranslateY')], axis=1
            ),
        ],
        axis=1,
    )


def _moved(images: Tensor, _: Array, matrices: Array, fill: int) -> Tensor:
    """The nearest pixel of each place that the matrices name."""
    height, width = images.shape[2:]
    centres = [torch.arange(side, device=images.device) + 0.5 for side in (width, height)]
    x, y = centres[0][None, None, :], centres[1][None, :, None]
    by = to_device(matrices.astype(np.float32), images)[:, :, :, None, None]
    columns, rows = (
        (by[:, k, 0] * x + by[:, k, 1] * y + by[:, k, 2]).floor().long() for k in range(2)
    )
    outside = (columns < 0) | (columns >= width) | (rows < 0) | (rows >= height)
    picked = _picked(images, rows.clamp(0, height - 1), columns.clamp(0, width - 1))
    return picked.masked_fill(outside[:, None], fill)


def _picked(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The pixels at ``rows`` and ``columns``, which together are ``(N, H', W')``."""
    places = rows * images.shape[3] + columns
    flat = places.flatten(1)[:, None].expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, flat).unflatten(2, places.shape[1:])


def _per_image(numbers: Array, images: Tensor) -> Tensor:
    return to_device(numbers, images)[:, None, None, None]
