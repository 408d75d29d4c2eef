"""Hard counts and the partners within a batch, against loops."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmlt.functional.confusion.pairs import (
    MIXED,
    confusion_entries,
    count_entries_,
    draw_columns,
    pair_distribution,
    without_mixed_batches,
)
from tests.references import mixing as reference
from tests.references.sampling import chi_square_p_value

K = 5
CONFUSION = torch.tensor(
    [[90, 4, 0, 1, 0], [6, 20, 0, 0, 0], [0, 0, 9, 0, 0], [0, 2, 0, 1, 0], [0, 0, 0, 0, 0]]
)


def batch(seed=0, size=200):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(size, K, generator=generator)
    targets = torch.randint(K, (size,), generator=generator)
    lam = torch.rand(size, 1, generator=generator)
    lam[::3] = 1
    scores = lam * F.one_hot(targets, K) + (1 - lam) * F.one_hot(targets.roll(1), K)
    return logits, targets, scores


def counted(logits, targets, mixed='skip'):
    empty = torch.zeros(K, K, dtype=torch.int32)
    return count_entries_(empty, without_mixed_batches(confusion_entries(logits, targets, mixed)))


@pytest.mark.parametrize('mixed', ['skip', 'dominant'])
@pytest.mark.parametrize('soft', [False, True])
def test_counts_against_loop(mixed, soft):
    logits, targets, scores = batch()
    targets = scores if soft else targets
    assert torch.equal(
        counted(logits, targets, mixed), reference.count_pairs(logits, targets, mixed)
    )


def test_one_mixed_image_leaves_its_batch_out():
    logits, targets, _ = batch(size=9)
    scores = F.one_hot(targets, K).float()
    scores[4] = scores[4] * 0.9 + 0.02
    entries = confusion_entries(logits, scores)
    assert (entries == MIXED).tolist() == [i == 4 for i in range(9)]
    assert not counted(logits, scores).any()
    assert int(counted(logits, scores, 'dominant').sum()) == 9


def test_one_hot_scores_count_as_labels():
    logits, targets, _ = batch()
    for one_hot in (F.one_hot(targets, K), F.one_hot(targets, K).float()):
        assert torch.equal(counted(logits, one_hot), counted(logits, targets))


def test_counts_do_not_depend_on_order_and_add_up():
    logits, targets, _ = batch()
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(3))
    whole = counted(logits, targets)
    assert torch.equal(counted(logits[order], targets[order]), whole)
    later = confusion_entries(logits[70:], targets[70:])
    parts = count_entries_(counted(logits[:70], targets[:70]), later)
    assert torch.equal(parts, whole)


def test_numbers_that_are_not_finite_are_left_out():
    logits, targets, _ = batch(size=6)
    logits[1, 2], logits[3, 0] = float('nan'), float('inf')
    kept = [0, 2, 4, 5]
    assert torch.equal(counted(logits, targets), counted(logits[kept], targets[kept]))


def test_nothing_is_mutated():
    logits, _, scores = batch()
    counts = torch.ones(K, K)
    copies = [tensor.clone() for tensor in (logits, scores, counts)]
    confusion_entries(logits, scores)
    pair_distribution(counts, normalize=True).symmetrised()
    for tensor, copy in zip((logits, scores, counts), copies, strict=True):
        assert torch.equal(tensor, copy)


def test_an_image_without_a_label_is_left_out_alone():
    logits, targets = torch.eye(K), torch.arange(K).roll(1)
    expected = counted(logits[1:], targets[1:])
    targets[0] = -1  # with the prediction K - 2 its entry would be that of a mixed image
    logits[0] = torch.eye(K)[K - 2]
    assert torch.equal(counted(logits, targets), expected)


@pytest.mark.parametrize('normalize', [False, True])
@pytest.mark.parametrize(
    'candidates', [[0, 0, 0, 1, 1, 2, 3, 4], [2, 2], [1], [0, 3, 3, 3], [4, 4, 1]]
)
def test_partner_weights_against_loop(candidates, normalize):
    anchors = torch.tensor([0, 1, 2, 3, 4])
    pairs = pair_distribution(CONFUSION.to_sparse(), normalize=normalize).symmetrised()
    weights = pairs.partner_weights(anchors, torch.tensor(candidates))
    expected = reference.in_batch_law(CONFUSION.numpy(), anchors.tolist(), candidates, normalize)
    np.testing.assert_allclose(weights / weights.sum(1, keepdim=True), expected, rtol=1e-12)


def test_one_distribution_for_the_epoch_and_for_the_batch():
    """Drawn for an epoch, partners have the frequencies that they have within a batch."""
    pairs = pair_distribution(CONFUSION, normalize=True).symmetrised()
    classes = torch.arange(K)
    weights = pairs.partner_weights(classes, classes)
    drawn = pairs.draw_partners(np.zeros(20_000, int), np.ones(K), np.random.default_rng(0))
    expected = (weights[0] / weights[0].sum()).numpy()
    assert chi_square_p_value(np.bincount(drawn, minlength=K), expected * len(drawn)) > 1e-3
    torch.testing.assert_close(weights[:2, :2], weights[:2, :2].T)


def test_no_error_on_record_is_class_balanced():
    pairs = pair_distribution(torch.zeros(K, K))
    weights = pairs.partner_weights(torch.tensor([0]), torch.tensor([0, 0, 0, 4]))
    np.testing.assert_allclose(weights / weights.sum(), [[1 / 6, 1 / 6, 1 / 6, 1 / 2]])


def test_draws_follow_the_weights():
    weights = torch.tensor([[0.0, 2.0, 0.0, 5.0, 3.0], [1.0, 0.0, 0.0, 0.0, 0.0]]).double()
    uniform = torch.from_numpy(np.random.default_rng(0).random(20_000))
    drawn = draw_columns(weights[0].expand(len(uniform), -1), uniform)
    times = np.bincount(drawn, minlength=K)
    assert chi_square_p_value(times, weights[0].numpy() / 10 * len(uniform)) > 1e-3
    assert (draw_columns(weights[1].expand(len(uniform), -1), uniform) == 0).all()


def test_draws_at_the_edges_have_weight():
    weights = torch.tensor([[0.0, 1.0, 1.0, 0.0]]).expand(3, -1)
    almost_one = float(np.nextafter(1, 0))
    assert draw_columns(weights, torch.tensor([0.0, 0.5, almost_one])).tolist() == [1, 2, 2]
    assert draw_columns(weights, torch.ones(3)).tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    'logits, targets',
    [
        (torch.zeros(2, 3), torch.zeros(3).long()),
        (torch.zeros(2, 3), torch.zeros(2, 4)),
        (torch.zeros(3), torch.zeros(3).long()),
    ],
)
def test_bad_shapes(logits, targets):
    with pytest.raises(ValueError, match='targets'):
        confusion_entries(logits, targets)
