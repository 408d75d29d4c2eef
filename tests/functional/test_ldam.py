"""LDAM against a loop and its laws."""

import pytest
import torch
import torch.nn.functional as F

from mmlt.functional.ldam import ldam_cross_entropy, ldam_margins

COUNTS = [500, 50, 5]


def cosines(n=4):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(n, 3, generator=generator, dtype=torch.float64) * 2 - 1


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


@pytest.mark.parametrize('gap', [0.0, 1.0, 16.0, 18.0, 20.0, 40.0, 60.0, -18.0, -60.0])
def test_a_one_hot_soft_label_is_the_hard_label_at_any_gap(gap):
    """In float32, where 1 - p is lost from a gap of 16 on if it is not summed by itself."""
    targets, margins = torch.tensor([0, 2]), ldam_margins(COUNTS)
    results = []
    for labels in (targets, F.one_hot(targets, 3).float()):
        leaf = torch.zeros(2, 3)
        leaf[[0, 1], targets] = gap / 30
        leaf.requires_grad_()
        losses = ldam_cross_entropy(leaf, labels, margins, 30.0, reduction='none')
        losses.sum().backward()
        results.append((losses.detach(), leaf.grad))
    torch.testing.assert_close(results[1], results[0], rtol=1e-5, atol=1e-5)


def test_the_loss_of_a_confident_soft_label_is_exact():
    """Against float64, relative: the largest logit is where digits are lost."""
    scores = torch.tensor([[0.9, 0.1, 0.0]])
    values = []
    for dtype in (torch.float32, torch.float64):
        leaf = torch.tensor([[1.0, 0.1, -0.2]], dtype=dtype, requires_grad=True)
        loss = ldam_cross_entropy(leaf, scores.to(dtype), torch.zeros(3), 30.0)
        loss.backward()
        values.append((loss.detach().double(), leaf.grad.double()))
    torch.testing.assert_close(values[0], values[1], rtol=1e-5, atol=1e-12)


def test_no_margin_is_scaled_cross_entropy():
    targets = torch.tensor([0, 1, 2, 2])
    loss = ldam_cross_entropy(cosines(), targets, torch.zeros(3), 4.0)
    torch.testing.assert_close(loss, F.cross_entropy(4 * cosines(), targets))


def test_an_empty_class_is_refused():
    with pytest.raises(ValueError, match='class 1'):
        ldam_margins([3, 0])
