"""The index of an image in place of the image."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmpretrain.registry import TRANSFORMS

__all__ = ['PackIndex']


@TRANSFORMS.register_module()
class PackIndex(BaseTransform):
    """Packs the index of an image, for :class:`mmlt.models.DeviceImagesDataPreprocessor`.

    It is the whole pipeline of the training data: image and label are looked up where the model is.

    Example:
        >>> train_pipeline = [dict(type='PackIndex')]
        >>> int(PackIndex()(dict(sample_idx=3))['inputs'])
        3
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """``sample_idx`` of the annotation as ``inputs``; nothing else is packed."""
        return {'inputs': np.int64(results['sample_idx'])}

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'
