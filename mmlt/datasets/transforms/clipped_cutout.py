"""Cutout whose square is clipped where it leaves the image."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS

from mmlt.functional.checks import check_integer

__all__ = ['ClippedCutout']


@TRANSFORMS.register_module()
class ClippedCutout(BaseTransform):
    """Hides a square around a pixel that is drawn uniformly; what lies outside the image is lost.

    For a pixel ``(y, x)`` these are the rows ``y - size // 2 .. y - size // 2 + size - 1`` that
    exist, and likewise the columns. MMPretrain's ``Cutout`` moves a square back inside at the top
    and at the left, so that it hides more, and more often there: of 32 x 32 pixels a square of 16
    hides 196 in the mean here, and 228 there.

    Args:
        size: side of the square, in pixels.
        pad_val: grey value of the square, 0 to 255.

    Raises:
        ValueError: if an option is out of range.

    Reference:
        DeVries & Taylor, Improved Regularization of Convolutional Neural Networks with Cutout,
        arXiv 1708.04552, as in the released code of ProCo and DDC.

    Example:
        >>> image = np.full((4, 6, 3), 255, dtype=np.uint8)
        >>> hidden = ClippedCutout(size=2)(dict(img=image))['img'] == 0
        >>> hidden.sum() in (3 * 1, 3 * 2, 3 * 4)
        True
    """

    def __init__(self, size: int = 16, pad_val: int = 0) -> None:
        self.size = check_integer('size', size, '[1, inf)')
        self.pad_val = check_integer('pad_val', pad_val, '[0, 255]')

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Hide a square of ``results['img']``, ``(H, W)`` or ``(H, W, C)``."""
        image = results['img'].copy()
        first = [np.random.randint(side) - self.size // 2 for side in image.shape[:2]]
        rows, columns = (slice(max(start, 0), start + self.size) for start in first)
        image[rows, columns] = self.pad_val
        return {**results, 'img': image}

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size}, pad_val={self.pad_val})'
