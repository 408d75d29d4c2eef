"""Five crops at test time, as one transform and in the pipeline of the recipes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmpretrain.registry import TRANSFORMS
from torchvision.transforms.functional import five_crop

from mmlt.datasets import PlacedCrop
from mmlt.datasets.transforms.placed_crop import PLACES
from mmlt.functional.checks import OptionError
from tests.configs.recipes import resolved


@pytest.mark.parametrize(('height', 'width'), [(9, 12), (8, 8), (12, 8)])
def test_crops_are_those_of_torchvision(height, width):
    import torch

    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    found = {place: PlacedCrop(8, place)(dict(img=image))['img'] for place in PLACES}
    reference = five_crop(torch.from_numpy(image).permute(2, 0, 1), 8)
    order = ('top left', 'top right', 'bottom left', 'bottom right', 'center')
    for place, expected in zip(order, reference, strict=True):
        if place != 'center' or (height - 8) % 2 == (width - 8) % 2 == 0:
            np.testing.assert_array_equal(found[place], expected.permute(1, 2, 0).numpy())


def test_small_images_and_options_are_one_line():
    with pytest.raises(OptionError, match='at most the 4 x 9 pixels of an image, got 8'):
        PlacedCrop(8)(dict(img=np.zeros((4, 9, 3), np.uint8)))
    with pytest.raises(OptionError, match="place: expected 'center' or"):
        PlacedCrop(8, 'left')


def test_the_recipes_average_over_five_crops(tmp_path):
    path = str(tmp_path / 'x.png')
    image = np.random.default_rng(1).integers(0, 256, (30, 40, 3), np.uint8)
    cv2.imwrite(path, image)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        pipelines = [
            Compose([TRANSFORMS.build(part) for part in resolved(recipe)['tta_pipeline']])
            for recipe in (
                'imagenet_lt/vit_base_clip_cpmix',
                'cifar100_lt/vit_base_clip_cpmix_ir100',
            )
        ]
    from_file = pipelines[0](dict(img_path=path))['inputs']
    in_memory = pipelines[1](dict(img=image))['inputs']
    for crops in (from_file, in_memory):
        assert [tuple(crop.shape) for crop in crops] == [(3, 224, 224)] * 5
    assert all((one == other).all() for one, other in zip(from_file, in_memory, strict=True))
