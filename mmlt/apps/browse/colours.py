"""Images as a model sees them, back in colours that can be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmlt.datasets.labels import unsliced
from mmlt.datasets.paired_dataset import pipelines_of

__all__ = ['Colours']


@dataclass(frozen=True)
class Colours:
    """How to undo a preprocessor.

    Args:
        mean: ``(C, 1, 1)`` that was subtracted, None where nothing was.
        std: ``(C, 1, 1)`` that was divided by.
        turned: whether the order of the channels was turned.
        rgb: whether red comes first in what the pipeline gives.
    """

    mean: Tensor | None
    std: Tensor | None
    turned: bool
    rgb: bool

    @classmethod
    def of(cls, preprocessor: Any, dataset: Any) -> Colours:
        """Of a preprocessor, and a data set whose pipelines tell the order of the channels."""
        turned = bool(getattr(preprocessor, 'to_rgb', False))
        mean, std = getattr(preprocessor, 'mean', None), getattr(preprocessor, 'std', None)
        return cls(mean, std, turned, _reads_rgb(dataset))

    def undone(self, images: Tensor) -> Tensor:
        """The images ``(N, C, H, W)`` that the preprocessor was given."""
        if self.mean is not None and self.std is not None:
            images = images * self.std + self.mean
        return images.flip(1) if self.turned and images.shape[1] == 3 else images

    def images(self, images: Tensor) -> list[NDArray[np.uint8]]:
        """``N`` pictures ``(H, W, 3)``, RGB, of what the model is given, ``(N, C, H, W)``."""
        images = self.undone(images.detach().float())
        if images.max() <= 8:  # the pipeline has normalised, not the preprocessor
            low, high = torch.aminmax(images)
            images = (images - low) * (255 / (high - low).clamp(min=1e-6))
        pixels = images.round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
        if pixels.shape[-1] != 3:
            return [np.repeat(image[..., :1], 3, axis=-1) for image in pixels]
        return [image if self.rgb else image[..., ::-1] for image in pixels]


def _reads_rgb(dataset: Any) -> bool:
    """Whether pipelines give red first: data sets in memory do, decoders of files do not."""
    rgb = True
    for transforms in pipelines_of(unsliced(dataset)) if dataset is not None else ():
        for transform in _flat(transforms):
            kind = type(transform).__name__
            if kind == 'LoadImageFromFile':
                rgb = False
            elif kind == 'NumpyToPIL':
                rgb = rgb or bool(getattr(transform, 'to_rgb', False))
            elif kind == 'PILToNumpy':
                rgb = rgb and not getattr(transform, 'to_bgr', False)
        break
    return rgb


def _flat(transforms: Any) -> Iterator[Any]:
    """Transforms, also those inside of others; of several views, those of the first."""
    for transform in transforms:
        inside = getattr(transform, 'transforms', None)
        if inside is None:
            yield transform
        elif type(transform).__name__ == 'MultiView':
            yield from _flat([inside[0]])
        else:
            yield from _flat(inside)
