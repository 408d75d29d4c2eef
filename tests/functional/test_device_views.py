"""Views drawn and rendered for a batch follow the laws of torchvision's transforms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision import transforms
from torchvision.transforms import functional as F

from mmlt.functional.device_views import render_views
from mmlt.functional.view_parameters import ViewLaw, draw_crop_boxes, draw_view_parameters


def quantiles(values):
    return np.quantile(np.asarray(values, dtype=float), np.linspace(0.05, 0.95, 10))


@pytest.mark.parametrize('size', [(40, 60), (64, 64), (20, 90)])
def test_crops_follow_random_resized_crop(size):
    number = 3000
    law = ViewLaw(crop_scale=(0.2, 1.0))
    image = torch.zeros(3, *size)
    torch.manual_seed(0)
    theirs = np.array(
        [
            transforms.RandomResizedCrop.get_params(image, (0.2, 1.0), (3 / 4, 4 / 3))
            for _ in range(number)
        ],
        dtype=float,
    )
    ours = draw_crop_boxes(np.random.default_rng(0), np.tile(size, (number, 1)), law)
    ours *= np.array([size * 2], dtype=float)
    for column in range(4):
        np.testing.assert_allclose(
            quantiles(ours[:, column]), quantiles(theirs[:, column]), atol=0.05 * max(size)
        )
    assert (ours[:, 0] + ours[:, 2] <= size[0] + 1e-9).all()
    assert (ours[:, 1] + ours[:, 3] <= size[1] + 1e-9).all()


def test_crop_that_never_fits_is_the_central_one():
    law = ViewLaw(crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0))
    box = draw_crop_boxes(np.random.default_rng(0), np.array([[10, 30]]), law)
    np.testing.assert_allclose(box, [[0, 10 / 30, 1, 10 / 30]])


def test_parameters_have_their_laws():
    law = ViewLaw(blur_prob=0.5)
    drawn = draw_view_parameters(np.random.default_rng(0), np.full((20000, 2), 32), law)
    for name, expected in (('flipped', 0.5), ('jittered', 0.8), ('grayed', 0.2), ('blurred', 0.5)):
        assert getattr(drawn, name).mean() == pytest.approx(expected, abs=0.02)
    np.testing.assert_allclose(
        quantiles(drawn.factors[:, 0]), np.linspace(0.64, 1.36, 10), atol=0.02
    )
    np.testing.assert_allclose(
        quantiles(drawn.factors[:, 3]), np.linspace(-0.09, 0.09, 10), atol=0.005
    )
    orders, counts = np.unique(drawn.order, axis=0, return_counts=True)
    assert len(orders) == 24 and counts.min() > 700
    assert len(drawn[3:8].boxes) == 5


def test_rendered_views_have_the_statistics_of_the_cpu_pipeline():
    """Mean, spread, colourfulness and sharpness over many draws from one picture."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 20, 20, generator=generator)
    image = torch.nn.functional.interpolate(coarse, 32, mode='bicubic').clamp(0, 1)[0]
    number = 1500
    cpu = transforms.Compose(
        [
            transforms.RandomResizedCrop(32, (0.2, 1.0), antialias=False),
            transforms.RandomHorizontalFlip(),
            transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], 0.8),
            transforms.RandomGrayscale(0.2),
            transforms.RandomApply([transforms.GaussianBlur(13, (0.1, 2.0))], 0.5),
        ]
    )
    torch.manual_seed(0)
    theirs = torch.stack([cpu(image) for _ in range(number)])
    law = ViewLaw(crop_scale=(0.2, 1.0), blur_prob=0.5)
    drawn = draw_view_parameters(np.random.default_rng(0), np.full((number, 2), 32), law)
    ours = render_views((255 * image).expand(number, -1, -1, -1), drawn, (32, 32)) / 255
    summaries = {
        'mean': lambda x: x.mean((2, 3)).flatten(),
        'contrast': lambda x: x.std((1, 2, 3)),
        'colourfulness': lambda x: (x.amax(1) - x.amin(1)).mean((1, 2)),
        'sharpness': lambda x: (x[..., 1:] - x[..., :-1]).abs().mean((1, 2, 3)),
        'left against right': lambda x: (x[..., :16] - x[..., 16:]).mean((1, 2, 3)),
    }
    for name, summary in summaries.items():
        mine, expected = summary(ours), summary(theirs)
        np.testing.assert_allclose(
            quantiles(mine), quantiles(expected), atol=0.35 * float(expected.std()), err_msg=name
        )


def test_the_drawn_factors_are_those_of_torchvision_in_the_drawn_order():
    """Image by image with torchvision's operations, which take one factor at a time."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(30, 220, (24, 3, 16, 16), generator=generator).float()
    law = ViewLaw(
        crop_scale=(1, 1), crop_ratio=(1, 1), jitter_prob=0.8, gray_prob=0.2, blur_prob=0.5, hue=0.3
    )
    drawn = draw_view_parameters(np.random.default_rng(0), np.full((24, 2), 16), law)
    assert len(np.unique(drawn.order, axis=0)) > 12
    operations = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
    rendered = render_views(images, drawn, (16, 16), blur_kernel=13) / 255
    for n, image in enumerate(images / 255):
        if drawn.flipped[n]:
            image = F.hflip(image)
        if drawn.jittered[n]:
            for kind in drawn.order[n]:
                image = operations[kind](image, float(drawn.factors[n, kind]))
        if drawn.grayed[n]:
            image = F.rgb_to_grayscale(image, 3)
        if drawn.blurred[n]:
            image = F.gaussian_blur(image, [13, 13], [float(drawn.sigma[n])] * 2)
        torch.testing.assert_close(rendered[n], image, rtol=0, atol=2e-3)


def test_each_image_is_rendered_by_its_own_parameters_alone():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (8, 3, 16, 16), generator=generator, dtype=torch.uint8)
    drawn = draw_view_parameters(
        np.random.default_rng(0), np.full((8, 2), 16), ViewLaw(blur_prob=0.5)
    )
    together = render_views(images, drawn, (12, 10))
    for n in range(8):
        alone = render_views(images[n : n + 1], drawn[n : n + 1], (12, 10))
        torch.testing.assert_close(together[n : n + 1], alone, rtol=1e-5, atol=1e-3)
    assert together.min() >= 0 and together.max() <= 255
    nothing = ViewLaw(crop_scale=(1, 1), crop_ratio=(1, 1), flip_prob=0, jitter_prob=0, gray_prob=0)
    same = draw_view_parameters(np.random.default_rng(0), np.full((8, 2), 16), nothing)
    torch.testing.assert_close(
        render_views(images, same, (16, 16)), images.float(), rtol=0, atol=1e-3
    )


def test_bad_input():
    with pytest.raises(ValueError, match='hue'):
        ViewLaw(hue=0.7)
    with pytest.raises(ValueError, match='gray_prob'):
        ViewLaw(gray_prob=1.2)
    with pytest.raises(ValueError, match='crop_scale'):
        ViewLaw(crop_scale=(0.5, 1.5))
    with pytest.raises(ValueError, match='blur_sigma'):
        ViewLaw(blur_sigma=(0.0, 1.0))
    drawn = draw_view_parameters(np.random.default_rng(0), np.full((2, 2), 8), ViewLaw())
    with pytest.raises(ValueError, match='images'):
        render_views(torch.zeros(3, 3, 8, 8), drawn, (8, 8))
