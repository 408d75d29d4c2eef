"""The images of a data set that keeps them in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmlt.functional.checks import refuse

from .labels import dataset_labels, leaves, unsliced
from .paired_dataset import pipelines_of
from .transforms.pack_index import PackIndex

__all__ = ['images_and_labels', 'packs_indices']


def packs_indices(dataset: Any) -> bool:
    """Whether the pipeline of a data set packs indices in place of images.

    Raises:
        OptionError: if it does something else beside, which would be lost.
    """
    packing = False
    for transforms in pipelines_of(unsliced(dataset)):
        if any(isinstance(transform, PackIndex) for transform in transforms):
            packing = True
            if len(transforms) > 1:
                expected = "[dict(type='PackIndex')] alone, since it leaves images to the device"
                raise refuse('train_dataloader.dataset.pipeline', expected, transforms)
    return packing


def images_and_labels(dataset: Any) -> tuple[Tensor, Tensor]:
    """All images of the data set inside of wrappers, in the order that ``PackIndex`` counts in.

    Returns:
        Images ``(M, C, H, W)`` uint8 and labels ``(M,)`` int64.

    Raises:
        OptionError: if there are several data sets, or images are in files or of several sizes.
    """
    leaf = _innermost(dataset)
    name, first = 'train_dataloader.dataset', leaf.get_data_info(0)
    if not isinstance(first.get('img'), np.ndarray):
        expected = 'images in memory, as those of CIFAR10LT, CIFAR100LT and DigitsLT'
        raise refuse(name, expected, f'{type(leaf).__name__}, whose images are in files')
    images = [leaf.get_data_info(index)['img'] for index in range(len(leaf))]
    shapes = sorted({image.shape for image in images})
    if len(shapes) > 1:
        raise refuse(name, 'images of one size', shapes)
    labels = torch.from_numpy(dataset_labels(leaf))
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(), labels


def _innermost(dataset: Any) -> Any:
    found = list(leaves(dataset))
    if len(found) > 1:
        kinds = [type(leaf).__name__ for leaf in found]
        raise refuse('train_dataloader.dataset', 'one data set, for PackIndex', kinds)
    # A LongTailDataset shows the annotations of the data set that it wraps.
    return _innermost(found[0].dataset) if hasattr(found[0], 'wrapped_image') else found[0]
