"""Cutout as in the released codes of ProCo and DDC: around a pixel, clipped on every side."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest

from mmlt.datasets import ClippedCutout
from mmlt.functional.checks import OptionError


def hidden_slowly(shape, centre, half):
    """Every pixel by itself: hidden if ``centre - half <= place < centre + half``."""
    mask = np.zeros(shape, bool)
    for row in range(shape[0]):
        for column in range(shape[1]):
            apart = row - centre[0], column - centre[1]
            mask[row, column] = all(-half <= one < half for one in apart)
    return mask


def cut(transform, image, centre):
    with mock.patch('numpy.random.randint', side_effect=centre) as drawn:
        results = transform(dict(img=image, gt_label=3))
    assert [call.args for call in drawn.call_args_list] == [(side,) for side in image.shape[:2]]
    assert results['gt_label'] == 3
    return results['img']


@pytest.mark.parametrize('size', [2, 8, 16, 80])
@pytest.mark.parametrize('centre', [(0, 0), (31, 35), (7, 8), (8, 7), (24, 25), (16, 20), (0, 35)])
def test_hidden_pixels_are_those_around_the_centre(size, centre):
    image = np.full((32, 36, 3), 255, np.uint8)
    expected = hidden_slowly(image.shape[:2], centre, size // 2)
    for pad_val in (0, 128):
        found = cut(ClippedCutout(size, pad_val), image, centre)
        assert (found[expected] == pad_val).all() and (found[~expected] == 255).all()
    assert (image == 255).all(), 'the argument is not changed'


def test_a_square_of_one_pixel_and_a_grey_image():
    found = cut(ClippedCutout(1), np.ones((5, 4), np.uint8), (2, 3))
    assert np.argwhere(found == 0).tolist() == [[2, 3]]
    assert (cut(ClippedCutout(3), np.ones((5, 4), np.uint8), (2, 1)) == 0).sum() == 9


def test_fourteen_by_fourteen_pixels_are_hidden_in_the_mean():
    """Exactly, over all centres; and over draws, which a seed repeats."""
    sides = [min(32, place + 8) - max(0, place - 8) for place in range(32)]
    assert np.mean(sides) == 14
    transform, image = ClippedCutout(16), np.ones((32, 32), np.uint8)

    def areas():
        np.random.seed(0)
        return [(transform(dict(img=image))['img'] == 0).sum() for _ in range(5_000)]

    drawn = areas()
    assert abs(np.mean(drawn) - 14**2) < 5 * np.std(drawn) / len(drawn) ** 0.5
    assert drawn == areas()


def test_options_are_one_line():
    with pytest.raises(OptionError, match='size: expected'):
        ClippedCutout(0)
    with pytest.raises(OptionError, match='pad_val: expected'):
        ClippedCutout(16, 256)
