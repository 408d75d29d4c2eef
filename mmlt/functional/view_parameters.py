r"""What a SimCLR-style view of each image of a batch needs, drawn with torchvision's distributions.

kornia's own random transforms draw otherwise: ``ColorJitter`` one order of its four operations for
a whole batch, and ``RandomResizedCrop`` in the size of the batch, not in that of each image before
it was resized; where no box fits, its place is random instead of central.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .checks import check_number, refuse

__all__ = ['ViewOptions', 'ViewParameters', 'draw_view_parameters']

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ViewOptions:
    """What is drawn for a view, and how likely; the defaults are those of BCL's ImageNet views.

    Args:
        crop_scale: range of the crop's share of the area, in ``(0, 1]``.
        crop_ratio: range of its width / height.
        flip_prob: probability of a horizontal mirror image.
        jitter_prob: probability of the colour jitter.
        brightness, contrast, saturation: factors are uniform in ``1 -+`` this, at most 1.
        hue: shift is uniform in ``-+`` this, in turns, at most 0.5.
        gray_prob: probability of losing the colour.
        blur_prob: probability of the Gaussian blur; 0.5 for CIFAR.
        blur_sigma: range of its standard deviation, in pixels.

    Raises:
        OptionError: for a value outside of its range.
    """

    crop_scale: tuple[float, float] = (0.08, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip_prob: float = 0.5
    jitter_prob: float = 0.8
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    gray_prob: float = 0.2
    blur_prob: float = 0.0
    blur_sigma: tuple[float, float] = (0.1, 2.0)

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, float):
                check_number(field.name, value, '[0, 0.5]' if field.name == 'hue' else '[0, 1]')
            else:
                _check_range(field.name, value, 1.0 if field.name == 'crop_scale' else math.inf)


def _check_range(name: str, value: Any, highest: float) -> None:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise refuse(name, 'two numbers (low, high)', value)
    low, high = (check_number(name, end) for end in value)
    if not 0 < low <= high <= highest:
        raise refuse(name, f'(low, high) with 0 < low <= high <= {highest:g}', value)


@dataclass(frozen=True)
class ViewParameters:
    """One view of each of ``N`` images; arrays with ``N`` rows.

    ``boxes (N, 4)`` are top, left, height, width as fractions of the image. ``factors (N, 4)`` and
    ``order (N, 4)`` belong to brightness, contrast, saturation and hue, in this numbering; the
    shift of the hue is in radians. ``sigma`` is in pixels.
    """

    boxes: Array
    flipped: Array
    jittered: Array
    factors: Array
    order: Array
    grayed: Array
    blurred: Array
    sigma: Array

    def __getitem__(self, rows: slice) -> ViewParameters:
        """The same for some of the images."""
        return ViewParameters(*(getattr(self, field.name)[rows] for field in fields(self)))


def draw_view_parameters(
    rng: np.random.Generator, sizes: Array, options: ViewOptions
) -> ViewParameters:
    """Everything that one view of each image needs, with the distributions of torchvision.

    Args:
        rng: source of randomness.
        sizes: ``(N, 2)`` height and width in which crops are drawn, before any resizing.
        options: what is drawn.

    Returns:
        Parameters of ``N`` images.
    """
    number = len(sizes)
    hue = 2 * math.pi * options.hue
    spread = np.array([options.brightness, options.contrast, options.saturation, hue])
    centre = np.array([1.0, 1.0, 1.0, 0.0])
    return ViewParameters(
        boxes=_draw_boxes(rng, sizes, options),
        flipped=rng.random(number) < options.flip_prob,
        jittered=rng.random(number) < options.jitter_prob,
        factors=centre + spread * rng.uniform(-1, 1, (number, 4)),
        order=rng.random((number, 4)).argsort(axis=1),
        grayed=rng.random(number) < options.gray_prob,
        blurred=rng.random(number) < options.blur_prob,
        sigma=rng.uniform(*options.blur_sigma, number),
    )


def _draw_boxes(rng: np.random.Generator, sizes: Array, options: ViewOptions) -> Array:
    """As ``RandomResizedCrop``: of 10 boxes the first that fits, else the largest central one."""
    number, attempts = len(sizes), 10
    height, width = sizes[:, :1].astype(np.float64), sizes[:, 1:].astype(np.float64)
    area = height * width * rng.uniform(*options.crop_scale, (number, attempts))
    low, high = options.crop_ratio
    ratio = np.exp(rng.uniform(np.log(low), np.log(high), (number, attempts)))
    box_width = np.round(np.sqrt(area * ratio))
    box_height = np.round(np.sqrt(area / ratio))
    fits = (box_width > 0) & (box_width <= width) & (box_height > 0) & (box_height <= height)
    first = fits.argmax(axis=1)[:, None]
    box_width = np.take_along_axis(box_width, first, 1)
    box_height = np.take_along_axis(box_height, first, 1)

    none = ~fits.any(axis=1, keepdims=True)
    box_width = np.where(none, np.minimum(width, np.round(height * high)), box_width)
    box_height = np.where(none, np.minimum(height, np.round(width / low)), box_height)
    top = np.floor(rng.uniform(size=(number, 1)) * (height - box_height + 1))
    left = np.floor(rng.uniform(size=(number, 1)) * (width - box_width + 1))
    top = np.where(none, (height - box_height) // 2, top)
    left = np.where(none, (width - box_width) // 2, left)
    return np.concatenate(
        [top / height, left / width, box_height / height, box_width / width], axis=1
    )
