"""Boxes, pastes, mixtures and label weights against golden numbers, loops and laws."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmlt.functional.mixing import (
    cutmix_box,
    dominant_class_counts,
    label_weight,
    mixed_label_weight,
    mixup,
    paste_box,
    remix_label_weight,
    unimix_factor,
)
from tests.references import mixing as reference

GOLDEN = np.load(Path(__file__).parents[1] / 'golden' / 'rand_bbox.npz')
GENERATOR = np.random.default_rng(0)
LAMS = np.concatenate([[0.0, 1.0, 0.5], GENERATOR.random(200)])
COUNTS = 10 ** GENERATOR.uniform(0, 4, (2, len(LAMS)))


def images(seed, dtype=torch.float32, size=5):
    return torch.rand(size, 3, 4, 6, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_boxes_of_the_released_code():
    for height, width, lam, y, x, box, adjusted in zip(
        *(
            GOLDEN[name]
            for name in (
                'size_dim2',
                'size_dim3',
                'lam',
                'center_dim2',
                'center_dim3',
                'box',
                'lam_adjusted',
            )
        ),
        strict=True,
    ):
        (y0, y1, x0, x1), found = cutmix_box(int(height), int(width), float(lam), (int(y), int(x)))
        assert [y0, x0, y1, x1] == box.tolist()
        assert found == pytest.approx(adjusted, rel=1e-12)


def test_a_box_for_one_pixel_and_for_the_whole_image():
    assert cutmix_box(1, 1, 0.0, (0, 0)) == ((0, 0, 0, 0), 1.0)
    assert cutmix_box(8, 8, 0.0, (4, 4)) == ((0, 8, 0, 8), 0.0)


@pytest.mark.parametrize('box', [(0, 0, 0, 0), (1, 3, 2, 5), (0, 4, 0, 6), (3, 4, 0, 1)])
def test_paste_pixel_by_pixel(box):
    background, foreground = images(0), images(1)
    before = background.clone()
    torch.testing.assert_close(
        paste_box(background, foreground, box),
        torch.stack(
            [
                reference.cutmix_pixels(a, b, box)
                for a, b in zip(background, foreground, strict=True)
            ]
        ),
        rtol=0,
        atol=0,
    )
    assert torch.equal(background, before)


def test_the_area_of_the_box_is_the_weight():
    for lam in np.linspace(0, 1, 11):
        box, weight = cutmix_box(9, 7, lam, (2, 6))
        pasted = paste_box(torch.zeros(1, 1, 9, 7), torch.ones(1, 1, 9, 7), box)
        assert float(pasted.mean()) == pytest.approx(1 - weight)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_mixture_is_that_of_the_host_bit_for_bit(dtype):
    first, second = images(0, dtype), images(1, dtype)
    lam = torch.from_numpy(GENERATOR.random(5))
    expected = torch.stack(
        [
            reference.mixup_pixels(a, b, float(weight))
            for a, b, weight in zip(first, second, lam, strict=True)
        ]
    )
    assert torch.equal(mixup(first, second, lam), expected)
    scores = torch.eye(5, dtype=dtype)
    rolled = scores.roll(1, 0)
    assert torch.equal(
        mixup(scores, rolled, lam), reference.mixed_labels(scores, rolled, lam.tolist())
    )


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_stays(dtype):
    mixed = mixup(images(0).to(dtype), images(1).to(dtype), torch.full((5,), 0.3))
    assert mixed.dtype == dtype


@pytest.mark.parametrize('tau', [0.5, 1.0, 2.0])
def test_prior_weight_against_loop(tau):
    found = mixed_label_weight(*map(torch.from_numpy, (LAMS, *COUNTS)), tau)
    expected = [
        reference.prior_weight(lam, *counts, tau)
        for lam, *counts in zip(LAMS, *COUNTS, strict=True)
    ]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_tau_0_is_lambda_bit_for_bit(dtype):
    lam = torch.from_numpy(LAMS).to(dtype)
    assert torch.equal(mixed_label_weight(lam, *map(torch.from_numpy, COUNTS), tau=0), lam)


def test_laws_of_the_prior_weight():
    lam, first, second = map(torch.from_numpy, (LAMS, *COUNTS))
    weight = mixed_label_weight(lam, first, second)
    swapped = mixed_label_weight(1 - lam, second, first)
    torch.testing.assert_close(weight + swapped, torch.ones_like(lam))
    torch.testing.assert_close(mixed_label_weight(lam, first, first), lam)
    torch.testing.assert_close(mixed_label_weight(lam, 7 * first, 7 * second), weight)
    inside = (lam > 0) & (lam < 1)
    assert ((weight > lam) == (first < second))[inside].all()
    assert mixed_label_weight(0.0, 5, 3) == 0 and mixed_label_weight(1.0, 5, 3) == 1


def test_remix_against_loop_and_at_its_edges():
    found = remix_label_weight(*map(torch.from_numpy, (LAMS, *COUNTS)))
    expected = [
        reference.remix_weight(lam, *counts, 3.0, 0.5)
        for lam, *counts in zip(LAMS, *COUNTS, strict=True)
    ]
    np.testing.assert_array_equal(found.numpy(), expected)
    assert {0.0, 1.0} < set(found.tolist())
    weights = [
        float(remix_label_weight(lam, n_i, n_j))
        for lam, n_i, n_j in (
            (0.49, 3, 1),
            (0.49, 2, 1),
            (0.5, 3, 1),
            (0.51, 1, 3),
            (0.5, 1, 3),
            (0.51, 1, 2),
        )
    ]
    assert weights == [0.0, 0.49, 0.5, 1.0, 0.5, 0.51]


def test_unimix_factor_against_loop():
    found = unimix_factor(*map(torch.from_numpy, (LAMS, *COUNTS))).numpy()
    expected = np.array(
        [reference.unimix_factor(lam, *counts) for lam, *counts in zip(LAMS, *COUNTS, strict=True)]
    )
    # 0 and 1 are one place on the circle.
    distance = np.abs(found - expected)
    assert np.minimum(distance, 1 - distance).max() < 1e-12
    # Where Beta(0.8, 0.8) has its mass, the rarer class gets the larger share.
    assert float(unimix_factor(0.0, 90, 10)) == pytest.approx(0.1)
    assert float(unimix_factor(1.0, 10, 90)) == pytest.approx(0.9)


@pytest.mark.parametrize('rule', ['prior', 'linear', 'remix'])
def test_rules_by_name(rule):
    lam, first, second = map(torch.from_numpy, (LAMS, *COUNTS))
    found = label_weight(rule, lam, first, second, tau=0.7, kappa=5.0)
    expected = [
        reference.label_weight(rule, *values, 0.7, 5.0)
        for values in zip(LAMS, *COUNTS, strict=True)
    ]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_counts_of_dominant_classes():
    scores = torch.tensor([[0.1, 0.2, 0.7], [0.9, 0.1, 0.0]])
    assert dominant_class_counts(scores, torch.tensor([50, 2, 0])).tolist() == [1, 50]


@pytest.mark.parametrize(
    'call, error, name',
    [
        (lambda: cutmix_box(0, 4, 0.5, (0, 0)), ValueError, 'height'),
        (lambda: cutmix_box(4, 4, 1.1, (0, 0)), ValueError, 'lam'),
        (lambda: cutmix_box(4, 4, float('nan'), (0, 0)), ValueError, 'lam'),
        (lambda: cutmix_box(4, 4, 0.5, (0, 4)), ValueError, 'centre'),
        (lambda: cutmix_box(4, 4.0, 0.5, (0, 0)), ValueError, 'width'),
        (lambda: mixed_label_weight(0.5, 1, 1, tau=-1), ValueError, 'tau'),
        (lambda: mixed_label_weight(1.5, 1, 1), ValueError, 'lam'),
        (lambda: mixed_label_weight(torch.tensor([0.5]), 0, 1), ValueError, 'count_i'),
        (lambda: remix_label_weight(0.5, 1, -1), ValueError, 'count_j'),
    ],
)
def test_bad_input(call, error, name):
    with pytest.raises(error, match=name):
        call()
