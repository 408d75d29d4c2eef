"""Each operation equals torchvision's on one image."""

from __future__ import annotations

import pytest
import torch
import torchvision.transforms.functional as TF

from mmlt.functional import image_ops


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(6, 3, 9, 11, generator=generator)
    images[0] = 0.4  # grey: the hue is undefined
    images[1, :, :4] = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    return images


@pytest.mark.parametrize('name', ['brightness', 'contrast', 'saturation'])
def test_blends(images, name):
    factor = torch.tensor([0.0, 0.3, 0.6, 1.0, 1.4, 3.0])
    ours = getattr(image_ops, f'adjust_{name}')(images, factor, high=1.0)
    for mine, image, strength in zip(ours, images, factor.tolist(), strict=True):
        # torchvision rounds the luma of red to 0.2989
        torch.testing.assert_close(
            mine, getattr(TF, f'adjust_{name}')(image, strength), rtol=1e-4, atol=3e-4
        )
    torch.testing.assert_close(
        getattr(image_ops, f'adjust_{name}')(255 * images, factor), 255 * ours, rtol=1e-5, atol=1e-3
    )


def test_hue(images):
    shift = torch.tensor([0.2, -0.5, 0.5, 0.1, -0.1, 0.0])
    ours = image_ops.adjust_hue(images, shift)
    for mine, image, turn in zip(ours, images, shift.tolist(), strict=True):
        torch.testing.assert_close(mine, TF.adjust_hue(image, turn), rtol=1e-4, atol=1e-5)


def test_grayscale(images):
    torch.testing.assert_close(
        image_ops.to_grayscale(images), TF.rgb_to_grayscale(images, 3), rtol=1e-3, atol=2e-4
    )


@pytest.mark.parametrize('kernel_size', [1, 3, 7])
def test_blur(images, kernel_size):
    sigma = torch.tensor([0.1, 0.4, 0.7, 1.0, 1.5, 2.0])
    ours = image_ops.gaussian_blur(images, sigma, kernel_size)
    for mine, image, width in zip(ours, images, sigma.tolist(), strict=True):
        torch.testing.assert_close(mine, TF.gaussian_blur(image, kernel_size, width))
    with pytest.raises(ValueError, match='odd'):
        image_ops.gaussian_blur(images, sigma, 4)


def test_resized_crop(images):
    boxes = torch.tensor([[0, 0, 9, 11], [2, 1, 5, 7], [0, 3, 9, 8]])
    flipped = torch.tensor([False, True, False])
    fractions = boxes / torch.tensor([9, 11, 9, 11])
    ours = image_ops.resized_crop(images[:3], fractions, flipped, (12, 13))
    for n, (mine, box) in enumerate(zip(ours, boxes.tolist(), strict=True)):
        expected = TF.resized_crop(images[n], *box, [12, 13], antialias=False)
        expected = expected.flip(-1) if flipped[n] else expected
        # Beyond the border of its box, ours sees the neighbouring pixels of the image.
        torch.testing.assert_close(
            mine[:, 2:-2, 2:-2], expected[:, 2:-2, 2:-2], rtol=1e-4, atol=1e-4
        )
