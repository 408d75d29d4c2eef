"""Logit adjustment against golden numbers, a loop and its laws."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmlt.functional.logit_adjustment import (
    adjust_logits,
    cross_entropy,
    log_prior,
    logit_adjusted_cross_entropy,
)

GOLDEN = np.load(Path(__file__).parents[1] / 'golden' / 'logit_adjust.npz')
CASES = ['case00', 'case05']


def golden(case, name):
    return torch.as_tensor(GOLDEN[f'{case}_{name}'])


@pytest.mark.parametrize('case', CASES)
@pytest.mark.parametrize(
    'target, weight, result',
    [
        ('targets', None, 'ce'),
        ('targets', 'class_weight', 'ce_weighted'),
        ('soft_target', None, 'soft_ce'),
        ('dense_target', None, 'dense_ce'),
    ],
)
def test_loss_and_gradient_match_the_released_code(case, target, weight, result):
    logits = golden(case, 'logits').clone().requires_grad_()
    weight = None if weight is None else golden(case, weight)
    loss = logit_adjusted_cross_entropy(
        logits, golden(case, target), golden(case, 'counts'), float(golden(case, 'tau')), weight
    )
    loss.backward()
    torch.testing.assert_close(loss.detach(), golden(case, result), rtol=1e-9, atol=0)
    torch.testing.assert_close(logits.grad, golden(case, f'{result}_grad'), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize('case', CASES)
def test_offset_matches_the_released_code(case):
    offset = float(golden(case, 'tau')) * log_prior(golden(case, 'counts'))
    torch.testing.assert_close(offset, golden(case, 'offset'), rtol=1e-12, atol=0)


def batch(n=6, k=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, k, generator=generator, dtype=torch.float64)
    scores = torch.rand(n, k, generator=generator, dtype=torch.float64)
    return logits, scores / scores.sum(1, keepdim=True), [100, 40, 9, 3, 1][:k]


def test_hard_targets_are_one_hot_scores():
    logits, _, counts = batch()
    targets = torch.tensor([0, 1, 2, 3, 4, 4])
    hard = logit_adjusted_cross_entropy(logits, targets, counts)
    soft = logit_adjusted_cross_entropy(logits, F.one_hot(targets, 5).double(), counts)
    torch.testing.assert_close(hard, soft)


def test_class_permutation_permutes_nothing_else():
    logits, scores, counts = batch()
    order = torch.tensor([3, 1, 4, 0, 2])
    permuted = logit_adjusted_cross_entropy(
        logits[:, order], scores[:, order], [counts[k] for k in order]
    )
    torch.testing.assert_close(permuted, logit_adjusted_cross_entropy(logits, scores, counts))


def test_a_shift_of_all_logits_and_a_scale_of_all_counts_change_nothing():
    logits, scores, counts = batch()
    shifted = logit_adjusted_cross_entropy(logits + 7, scores, [10 * n for n in counts])
    torch.testing.assert_close(shifted, logit_adjusted_cross_entropy(logits, scores, counts))


def test_tau_zero_is_cross_entropy():
    logits, scores, counts = batch()
    torch.testing.assert_close(
        logit_adjusted_cross_entropy(logits, scores, counts, tau=0), F.cross_entropy(logits, scores)
    )


def test_large_logit_gaps_keep_a_finite_gradient():
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    logit_adjusted_cross_entropy(logits, torch.tensor([1]), [5, 1]).backward()
    torch.testing.assert_close(logits.grad, torch.tensor([[1.0, -1.0]]))


def test_post_hoc_adjustment_undoes_the_prior_of_a_calibrated_model():
    counts = torch.tensor([90.0, 9.0, 1.0])
    likelihood = torch.tensor([[0.2, 0.3, 0.5]])
    posterior = likelihood * counts
    torch.testing.assert_close(adjust_logits(posterior.log(), counts).softmax(1), likelihood)


@pytest.mark.parametrize('soft', [False, True])
@pytest.mark.parametrize('tau', [0.0, 1.0])
def test_an_empty_class_can_be_left_out(soft, tau):
    logits = torch.tensor([[1.0, 5.0, 2.0]], requires_grad=True)
    target = torch.tensor([[1.0, 0.0, 0.0]]) if soft else torch.tensor([0])
    loss = logit_adjusted_cross_entropy(logits, target, [3, 0, 1], tau, empty_classes='ignore')
    loss.backward()
    without = logit_adjusted_cross_entropy(
        torch.tensor([[1.0, 2.0]]), torch.tensor([0]), [3, 1], tau
    )
    torch.testing.assert_close(loss.detach(), without)
    assert logits.grad[0, 1] == 0 and torch.isfinite(logits.grad).all()


def test_mistakes_are_named():
    logits = torch.zeros(2, 3)
    with pytest.raises(ValueError, match='class 1'):
        logit_adjusted_cross_entropy(logits, torch.tensor([0, 1]), [3, 0, 1])
    with pytest.raises(ValueError, match=r'\(N, 2\)'):
        logit_adjusted_cross_entropy(logits, torch.tensor([0, 1]), [3, 1])
    with pytest.raises(ValueError, match='targets'):
        logit_adjusted_cross_entropy(logits, torch.tensor([0]), [3, 1, 1])
    with pytest.raises(ValueError, match='empty_classes'):
        log_prior([1, 1], 'drop')


@pytest.mark.parametrize('reduction', ['none', 'sum'])
@pytest.mark.parametrize('soft', [False, True])
def test_reductions_agree(reduction, soft):
    logits, scores, counts = batch()
    targets = scores if soft else scores.argmax(1)
    per_image = logit_adjusted_cross_entropy(logits, targets, counts, reduction='none')
    assert per_image.shape == (6,)
    other = logit_adjusted_cross_entropy(logits, targets, counts, reduction=reduction)
    torch.testing.assert_close(other.sum(), per_image.sum())


def test_the_mean_of_soft_targets_is_divided_by_their_weights():
    """As torch does for hard ones."""
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets, weight = torch.tensor([0, 1, 2, 2, 1, 0]), torch.tensor([0.5, 1.0, 3.0]).double()
    soft = F.one_hot(targets, 3).double()
    for given in (None, weight):
        torch.testing.assert_close(
            cross_entropy(logits, soft, given), F.cross_entropy(logits, targets, given)
        )
    factors = torch.linspace(0.6, 0.9, 6, dtype=torch.float64)[:, None]
    mixed = factors * soft + (1 - factors) * soft.roll(1, dims=0)
    each = cross_entropy(logits, mixed, weight, 'none')
    torch.testing.assert_close(
        cross_entropy(logits, mixed, weight), each.sum() / (mixed * weight).sum()
    )
