"""Post-hoc rules on a linear classifier."""

from __future__ import annotations

import pytest
import torch

from mmlt.functional.logit_adjustment import adjusted_bias, tau_normalize


def test_adjusted_bias_equals_adjusting_the_logits():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(20, 6, generator=generator)
    weight, bias = torch.randn(4, 6, generator=generator), torch.randn(4, generator=generator)
    counts = torch.tensor([50.0, 20.0, 5.0, 1.0])
    expected = features @ weight.T + bias - 0.7 * (counts / counts.sum()).log()
    baked = features @ weight.T + adjusted_bias(bias, [50, 20, 5, 1], tau=0.7)
    torch.testing.assert_close(baked, expected)


def test_tau_zero_changes_nothing_and_one_gives_unit_rows():
    weight = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(tau_normalize(weight, 0.0), weight)
    torch.testing.assert_close(tau_normalize(weight, 1.0).norm(dim=1), torch.ones(5))
    half = torch.stack([row / row.norm().sqrt() for row in weight])
    torch.testing.assert_close(tau_normalize(weight, 0.5), half)
    torch.testing.assert_close(adjusted_bias(weight[:, 0], [9, 5, 3, 2, 1], 0.0), weight[:, 0])


def test_dtype_is_kept():
    assert tau_normalize(torch.ones(2, 2, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert adjusted_bias(torch.zeros(2, dtype=torch.float16), [2, 1]).dtype == torch.float16


def test_bad_input_is_named():
    with pytest.raises(ValueError, match='expected 2 classes, as in the bias, got 3'):
        adjusted_bias(torch.zeros(2), [1, 2, 3])
    with pytest.raises(ValueError, match='training images in every class'):
        adjusted_bias(torch.zeros(2), [1, 0])
    with pytest.raises(ValueError, match=r'\(K,\)'):
        adjusted_bias(torch.zeros(2, 2), [1, 1])
    with pytest.raises(ValueError, match=r'\(K, D\)'):
        tau_normalize(torch.zeros(2))
    for row in (0.0, float('nan'), float('inf')):
        with pytest.raises(ValueError, match='finite rows, none of them zero'):
            tau_normalize(torch.tensor([[1.0], [row]]))
