"""A crop whose place is told, for averages over crops at test time."""

from __future__ import annotations

from typing import Any

from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS

from mmlt.functional.checks import check_choice, check_integer, refuse

__all__ = ['PlacedCrop']

PLACES = ('center', 'top left', 'top right', 'bottom left', 'bottom right')


@TRANSFORMS.register_module()
class PlacedCrop(BaseTransform):
    """The crop in the centre or in one corner of an image.

    Five of them inside of ``TestTimeAug`` are the five crops of AlexNet, over which
    ``tools/test.py --tta`` averages. MMPretrain crops in the centre or at random.

    Args:
        crop_size: side of the square, in pixels.
        place: ``'center'``, ``'top left'``, ``'top right'``, ``'bottom left'`` or
            ``'bottom right'``.

    Raises:
        ValueError: if an option is out of range, or an image is smaller than the crop.

    Example:
        >>> import numpy as np
        >>> image = np.arange(16, dtype=np.uint8).reshape(4, 4)
        >>> PlacedCrop(2, 'bottom right')(dict(img=image))['img']
        array([[10, 11],
               [14, 15]], dtype=uint8)
    """

    def __init__(self, crop_size: int, place: str = 'center') -> None:
        self.crop_size = check_integer('crop_size', crop_size, '[1, inf)')
        self.place = check_choice('place', place, PLACES)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Crop ``results['img']``, ``(H, W)`` or ``(H, W, C)``."""
        size, image = self.crop_size, results['img']
        height, width = image.shape[:2]
        if min(height, width) < size:
            raise refuse('crop_size', f'at most the {height} x {width} pixels of an image', size)
        down, right = height - size, width - size
        if self.place == 'center':
            top, left = down // 2, right // 2
        else:
            top = down if self.place.startswith('bottom') else 0
            left = right if self.place.endswith('right') else 0
        image = image[top : top + size, left : left + size]
        return {**results, 'img': image, 'img_shape': image.shape[:2]}

    def __repr__(self) -> str:
        return f'{type(self).__name__}(crop_size={self.crop_size}, place={self.place!r})'
