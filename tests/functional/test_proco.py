"""ProCo's closed form: its Bessel function, its concentrations, and the expectation that it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmlt.functional import proco
from tests.references.proco import log_normalizer

KAPPAS = [0.0, 1e-3, 0.1, 1.0, 10.0, 50.0, 100.0, 1e3, 1e4, 1e5]


@pytest.mark.parametrize(('dim', 'error'), [(16, 1e-5), (32, 1e-6), (64, 1e-7), (1024, 1e-9)])
def test_bessel_function(dim: int, error: float) -> None:
    found = proco.log_normalizer(torch.tensor(KAPPAS, dtype=torch.float64), dim)
    expected = [log_normalizer(kappa, dim) for kappa in KAPPAS]
    np.testing.assert_allclose(found - found[0], expected, rtol=1e-9, atol=error)


def test_slope_is_minus_the_mean_length() -> None:
    """``d log C / d kappa`` is minus the length of the mean, which ``concentration`` inverts."""
    kappa = torch.tensor([1e-6, 1.0, 20.0, 200.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(proco.log_normalizer(kappa, 128).sum(), kappa)
    recovered = proco.concentration(-slope, 128)
    np.testing.assert_allclose(recovered, kappa.detach(), rtol=2e-2, atol=1e-5)


def _directions(mean: torch.Tensor, kappa: float, count: int) -> torch.Tensor:
    """Of a von Mises-Fisher distribution, by rejection of the first coordinate (Wood 1994)."""
    rng, dim = np.random.default_rng(0), mean.numel()
    b = (dim - 1) / (2 * kappa + np.sqrt(4 * kappa**2 + (dim - 1) ** 2))
    x0 = (1 - b) / (1 + b)
    c = kappa * x0 + (dim - 1) * np.log(1 - x0**2)
    heights: list[float] = []
    while len(heights) < count:
        z = rng.beta((dim - 1) / 2, (dim - 1) / 2)
        w = (1 - (1 + b) * z) / (1 - (1 - b) * z)
        if kappa * w + (dim - 1) * np.log(1 - x0 * w) - c >= np.log(rng.random()):
            heights.append(w)
    first = torch.tensor(heights, dtype=torch.float64)[:, None]
    across = torch.from_numpy(rng.normal(size=(count, dim)))
    across = F.normalize(across - (across @ mean)[:, None] * mean, dim=1)
    return first * mean + (1 - first.square()).sqrt() * across


def test_the_logit_is_the_logarithm_of_an_expectation() -> None:
    """Against a mean over drawn keys, which is what the closed form replaces."""
    vectors = F.normalize(torch.randn(3, 16, generator=torch.Generator().manual_seed(1)), dim=1)
    mean, anchors = vectors[0].double(), vectors[1:].double()
    keys = _directions(mean, kappa=30.0, count=20_000)
    expected = torch.logsumexp(anchors @ keys.T / 0.5, dim=1) - np.log(len(keys))
    found = proco.proco_logits(anchors, mean[None], torch.tensor([30.0]), temperature=0.5)
    np.testing.assert_allclose(found[:, 0], expected, atol=0.02)


def test_gradcheck_also_where_nothing_is_known() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(3, 16, generator=generator, dtype=torch.float64)
    means = F.normalize(torch.randn(4, 16, generator=generator, dtype=torch.float64), dim=1)
    kappa = torch.tensor([0.0, 1.0, 50.0, 1e5], dtype=torch.float64)
    means[0] = 0
    assert torch.autograd.gradcheck(
        lambda z: proco.proco_logits(z, means, kappa, 0.1), vectors.requires_grad_()
    )


def test_classes_may_be_permuted() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors, means = (F.normalize(torch.randn(5, 32, generator=generator), dim=1) for _ in 'zm')
    kappa, order = torch.tensor([1.0, 5, 20, 80, 3]), torch.tensor([4, 2, 0, 1, 3])
    found = proco.proco_logits(vectors, means, kappa)
    permuted = proco.proco_logits(vectors, means[order], kappa[order])
    torch.testing.assert_close(permuted, found[:, order])


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32])
def test_extremes_are_finite(dtype: torch.dtype) -> None:
    vectors = F.normalize(torch.ones(1, 16), dim=1)
    means = torch.cat([vectors, -vectors, torch.zeros(1, 16)])
    lengths = torch.tensor([1.0, 1.0, 0.0])
    kappa = proco.concentration(lengths, 16)
    inputs = vectors.to(dtype).requires_grad_()
    logits = proco.proco_logits(inputs, means, kappa, temperature=1e-5)
    assert logits.dtype == torch.float32 and logits.isfinite().all()
    logits.sum().backward()
    assert inputs.grad.isfinite().all()
