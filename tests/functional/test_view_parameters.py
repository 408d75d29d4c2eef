"""Parameters of views have the distributions of torchvision's transforms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torchvision import transforms

from mmlt.functional.view_parameters import ViewOptions, draw_view_parameters


def draw(options, number, size, seed=0):
    sizes = np.tile(size, (number, 1))
    return draw_view_parameters(np.random.default_rng(seed), sizes, options)


def quantiles(values):
    return np.quantile(np.asarray(values, dtype=float), np.linspace(0.05, 0.95, 10))


@pytest.mark.parametrize('size', [(40, 60), (64, 64), (20, 90)])
def test_crops_follow_random_resized_crop(size):
    number = 3000
    image = torch.zeros(3, *size)
    torch.manual_seed(0)
    theirs = np.array(
        [
            transforms.RandomResizedCrop.get_params(image, (0.2, 1.0), (3 / 4, 4 / 3))
            for _ in range(number)
        ],
        dtype=float,
    )
    ours = draw(ViewOptions(crop_scale=(0.2, 1.0)), number, size).boxes * np.array([size * 2])
    for column in range(4):
        np.testing.assert_allclose(
            quantiles(ours[:, column]), quantiles(theirs[:, column]), atol=0.05 * max(size)
        )
    assert (ours[:, 0] + ours[:, 2] <= size[0] + 1e-9).all()
    assert (ours[:, 1] + ours[:, 3] <= size[1] + 1e-9).all()


@pytest.mark.parametrize('size', [(10, 30), (30, 10), (31, 10)])
def test_a_crop_that_never_fits_is_the_central_one(size):
    options = ViewOptions(crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0))
    expected = transforms.RandomResizedCrop.get_params(torch.zeros(3, *size), (1, 1), (1, 1))
    np.testing.assert_allclose(draw(options, 1, size).boxes * np.array(size * 2), [expected])


def test_parameters_have_their_distributions():
    drawn = draw(ViewOptions(blur_prob=0.5), 20000, (32, 32))
    for name, expected in (('flipped', 0.5), ('jittered', 0.8), ('grayed', 0.2), ('blurred', 0.5)):
        assert getattr(drawn, name).mean() == pytest.approx(expected, abs=0.02)
    for kind in range(3):
        np.testing.assert_allclose(
            quantiles(drawn.factors[:, kind]), np.linspace(0.64, 1.36, 10), atol=0.01
        )
    turns = drawn.factors[:, 3] / (2 * math.pi)
    np.testing.assert_allclose(quantiles(turns), np.linspace(-0.09, 0.09, 10), atol=0.0025)
    np.testing.assert_allclose(quantiles(drawn.sigma), np.linspace(0.195, 1.905, 10), atol=0.05)
    orders, counts = np.unique(drawn.order, axis=0, return_counts=True)
    assert len(orders) == 24 and counts.min() > 700
    assert len(drawn[3:8].boxes) == 5


def test_bad_input():
    for options in (
        dict(hue=0.7),
        dict(gray_prob=1.2),
        dict(brightness=math.nan),
        dict(crop_scale=(0.5, 1.5)),
        dict(blur_sigma=(0.0, 1.0)),
        dict(crop_ratio=(2.0, 1.0)),
        dict(crop_ratio=0.5),
        dict(crop_scale=('a', 'b')),
    ):
        with pytest.raises(ValueError, match=f'^{next(iter(options))}: expected '):
            ViewOptions(**options)
