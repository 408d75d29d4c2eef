"""LDAM against a loop and its laws."""

import pytest
import torch
import torch.nn.functional as F

from mmlt.functional.ldam import ldam_cross_entropy, ldam_margins
from tests.references import logit_adjustment as reference

COUNTS = [500, 50, 5]


def cosines(n=4):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(n, 3, generator=generator, dtype=torch.float64) * 2 - 1


def test_loss_equals_a_loop():
    targets = torch.tensor([0, 1, 2, 2])
    loss = ldam_cross_entropy(cosines(), targets, ldam_margins(COUNTS), scale=10.0)
    assert float(loss) == pytest.approx(
        reference.ldam(cosines(), targets, COUNTS, 0.5, 10.0), rel=1e-12
    )


def test_margins_fall_with_the_fourth_root():
    margins = ldam_margins([16, 1, 81])
    torch.testing.assert_close(margins, torch.tensor([0.25, 0.5, 0.5 / 3]).double())


def test_soft_targets_are_linear_and_meet_hard_ones():
    targets = torch.tensor([0, 1, 2, 2])
    margins = ldam_margins(COUNTS)
    hard = ldam_cross_entropy(cosines(), targets, margins, 10.0)
    one_hot = F.one_hot(targets, 3).double()
    torch.testing.assert_close(ldam_cross_entropy(cosines(), one_hot, margins, 10.0), hard)
    other = F.one_hot(targets.flip(0), 3).double()
    mixed = ldam_cross_entropy(cosines(), 0.3 * one_hot + 0.7 * other, margins, 10.0)
    parts = 0.3 * hard + 0.7 * ldam_cross_entropy(cosines(), other, margins, 10.0)
    torch.testing.assert_close(mixed, parts)


@pytest.mark.parametrize('soft', [False, True])
def test_gradcheck(soft):
    targets = torch.tensor([0, 1, 2, 2])
    if soft:
        targets = 0.8 * F.one_hot(targets, 3).double() + 0.2 / 3
    x = cosines().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda c: ldam_cross_entropy(c, targets, ldam_margins(COUNTS), 5.0), (x,)
    )


def test_no_margin_is_scaled_cross_entropy():
    targets = torch.tensor([0, 1, 2, 2])
    loss = ldam_cross_entropy(cosines(), targets, torch.zeros(3), 4.0)
    torch.testing.assert_close(loss, F.cross_entropy(4 * cosines(), targets))


def test_an_empty_class_is_refused():
    with pytest.raises(ValueError, match='class 1'):
        ldam_margins([3, 0])
