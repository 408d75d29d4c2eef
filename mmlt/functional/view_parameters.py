r"""Random choices behind SimCLR-style views, drawn on the host for a whole batch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

__all__ = ['ViewLaw', 'ViewParameters', 'draw_crop_boxes', 'draw_view_parameters']

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ViewLaw:
    """What is drawn, and how likely; the defaults are those of BCL's ImageNet views.

    Args:
        crop_scale: range of the crop's share of the area.
        crop_ratio: range of its width / height.
        flip_prob: of a horizontal mirror image.
        jitter_prob: of the colour jitter.
        brightness, contrast, saturation: factors are uniform in ``1 -+`` this.
        hue: shift is uniform in ``-+`` this, in turns.
        gray_prob: of losing the colour.
        blur_prob: of the Gaussian blur; 0.5 for CIFAR.
        blur_sigma: range of its standard deviation, in pixels.
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
        for name in (
            'flip_prob',
            'jitter_prob',
            'gray_prob',
            'blur_prob',
            'brightness',
            'contrast',
            'saturation',
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f'{name}: expected a number in [0, 1], got {getattr(self, name)}')
        if not 0 <= self.hue <= 0.5:
            raise ValueError(f'hue: expected a number in [0, 0.5], got {self.hue}')
        for name in ('crop_scale', 'crop_ratio', 'blur_sigma'):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise ValueError(f'{name}: expected 0 < low <= high, got {(low, high)}')
        if self.crop_scale[1] > 1:
            raise ValueError(f'crop_scale: expected at most 1, got {self.crop_scale}')


@dataclass(frozen=True)
class ViewParameters:
    """One view of each of ``N`` images; arrays with ``N`` rows.

    ``boxes (N, 4)`` are top, left, height, width as fractions; ``factors (N, 4)`` and ``order
    (N, 4)`` belong to brightness, contrast, saturation and hue, in this numbering.
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


def draw_crop_boxes(
    rng: np.random.Generator, sizes: Array, law: ViewLaw, attempts: int = 10
) -> Array:
    """Boxes by the law of torchvision's ``RandomResizedCrop``, in whole pixels.

    The first of ``attempts`` boxes that fits is taken; if none does, the largest central box
    whose ratio is allowed.

    Args:
        rng: source of randomness.
        sizes: ``(N, 2)`` height and width of the images.
        law: ``crop_scale`` and ``crop_ratio``.
        attempts: boxes drawn for each image.

    Returns:
        ``(N, 4)`` top, left, height, width as fractions of the image.

    Example:
        >>> whole = ViewLaw(crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0))
        >>> draw_crop_boxes(np.random.default_rng(0), np.array([[8, 8]]), whole)
        array([[0., 0., 1., 1.]])
    """
    number = len(sizes)
    height, width = sizes[:, :1].astype(np.float64), sizes[:, 1:].astype(np.float64)
    area = height * width * rng.uniform(*law.crop_scale, (number, attempts))
    low, high = law.crop_ratio
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


def draw_view_parameters(rng: np.random.Generator, sizes: Array, law: ViewLaw) -> ViewParameters:
    """Everything that one view of each image needs.

    Args:
        rng: source of randomness.
        sizes: ``(N, 2)`` height and width in which crops are drawn, before any resizing.
        law: what is drawn.

    Returns:
        Parameters of ``N`` images.

    Example:
        >>> sizes = np.full((5, 2), 32)
        >>> draw_view_parameters(np.random.default_rng(0), sizes, ViewLaw()).order.shape
        (5, 4)
    """
    number = len(sizes)
    spread = np.array([law.brightness, law.contrast, law.saturation, law.hue])
    centre = np.array([1.0, 1.0, 1.0, 0.0])
    return ViewParameters(
        boxes=draw_crop_boxes(rng, sizes, law),
        flipped=rng.random(number) < law.flip_prob,
        jittered=rng.random(number) < law.jitter_prob,
        factors=centre + spread * rng.uniform(-1, 1, (number, 4)),
        order=rng.random((number, 4)).argsort(axis=1),
        grayed=rng.random(number) < law.gray_prob,
        blurred=rng.random(number) < law.blur_prob,
        sigma=rng.uniform(*law.blur_sigma, number),
    )
