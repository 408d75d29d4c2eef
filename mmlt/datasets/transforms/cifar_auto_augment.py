"""AutoAugment with the policy that was searched on CIFAR-10."""

from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS
from PIL import Image
from torchvision.transforms import AutoAugment, AutoAugmentPolicy

from mmlt.functional.checks import check_integer

__all__ = ['CIFARAutoAugment']


@TRANSFORMS.register_module()
class CIFARAutoAugment(BaseTransform):
    """torchvision's AutoAugment, CIFAR-10 policy, on an RGB image.

    MMPretrain has the ImageNet policy only. BCL and ConCutMix use this one on CIFAR-10 and
    CIFAR-100.

    Args:
        fill: grey value of the pixels that a rotation or translation leaves empty, 0 to 255.

    Raises:
        ValueError: if ``fill`` is out of range.

    Reference:
        Cubuk et al., AutoAugment, CVPR 2019, table 7.

    Example:
        >>> transform = CIFARAutoAugment()
        >>> transform(dict(img=np.zeros((32, 32, 3), dtype=np.uint8)))['img'].shape
        (32, 32, 3)
    """

    def __init__(self, fill: int = 0) -> None:
        self.fill = check_integer('fill', fill, '[0, 255]')
        self.augment = AutoAugment(AutoAugmentPolicy.CIFAR10, fill=[fill] * 3)

    def transform(self, results: dict) -> dict:
        """Augment ``results['img']``, ``(H, W, 3)`` uint8."""
        return {**results, 'img': np.asarray(self.augment(Image.fromarray(results['img'])))}

    def __repr__(self) -> str:
        return f'{type(self).__name__}(fill={self.fill})'
