"""Loss modules: what the host passes them, and what they keep."""

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models import LabelSmoothLoss

from mmlt.functional.counts import effective_number_weights
from mmlt.models.losses import LDAMLoss, LogitAdjustedLoss

COUNTS = [90, 9, 1]


def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(5, 3, generator=generator), torch.tensor([0, 0, 1, 2, 0])


@pytest.mark.parametrize('kind', [LogitAdjustedLoss, LDAMLoss])
def test_weights_of_images_and_reductions_follow_the_host(kind):
    logits, targets = batch()
    loss = kind(class_counts=COUNTS, loss_weight=2.0)
    each = loss(logits, targets, reduction_override='none')
    weight = torch.tensor([1.0, 0.0, 2.0, 0.5, 1.0])
    torch.testing.assert_close(
        loss(logits, targets, weight=weight, avg_factor=4), (each * weight).sum() / 4
    )
    torch.testing.assert_close(loss(logits, targets, reduction_override='sum'), each.sum())


@pytest.mark.parametrize('kind', [LogitAdjustedLoss, LDAMLoss])
def test_class_weights_average_by_their_sum(kind):
    logits, targets = batch()
    loss = kind(class_counts=COUNTS)
    each = loss(logits, targets, reduction_override='none')
    weights = effective_number_weights(COUNTS)
    loss.set_class_weight(weights)
    picked = weights.float()[targets]
    expected = (each * picked).sum() / picked.sum()
    torch.testing.assert_close(loss(logits, targets, avg_factor=5), expected)
    same = kind(class_counts=COUNTS, class_weight='effective_number')
    torch.testing.assert_close(same(logits, targets, avg_factor=5), expected)


def test_ldam_takes_logits_that_a_head_has_scaled():
    cosines, targets = batch()
    bare = LDAMLoss(class_counts=COUNTS)(cosines, targets)
    scaled = LDAMLoss(class_counts=COUNTS, logit_scale=30.0)(30 * cosines, targets)
    torch.testing.assert_close(bare, scaled)


@pytest.mark.parametrize('kind', [LogitAdjustedLoss, LDAMLoss])
def test_missing_and_foreign_counts_are_explained(kind):
    logits, targets = batch()
    with pytest.raises(ValueError, match='LongTailHook'):
        kind()(logits, targets)
    with pytest.raises(ValueError, match='logits of 2 classes, as in the training data, got 3'):
        kind(class_counts=[3, 1])(logits, targets)


@pytest.mark.parametrize(
    'options, name',
    [
        (dict(prior='test'), 'prior'),
        (dict(prior=1.5), 'prior'),
        (dict(tau=-1.0), 'tau'),
        (dict(tau=float('nan')), 'tau'),
        (dict(tau=float('inf')), 'tau'),
        (dict(loss_weight='1'), 'loss_weight'),
        (dict(momentum=1.0), 'momentum'),
        (dict(reduction='max'), 'reduction'),
        (dict(class_weight='inverse'), 'class_weight'),
        (dict(empty_classes='drop'), 'empty_classes'),
        (dict(label_smooth_val=1.0), 'label_smooth_val'),
        (dict(label_smooth_val='0.1'), 'label_smooth_val'),
    ],
)
def test_unknown_options_are_refused(options, name):
    with pytest.raises(ValueError, match=name):
        LogitAdjustedLoss(**options)


def test_the_effective_prior_follows_what_arrives():
    logits, _ = batch()
    loss = LogitAdjustedLoss(prior='effective', class_counts=COUNTS)
    targets = torch.full((5,), 2)
    for _ in range(2000):
        loss(logits, targets)
    assert loss.running_prior.sum() == pytest.approx(1)
    assert loss.running_prior[2] > 0.99
    loss.eval()
    before = loss.running_prior.clone()
    loss(logits, torch.zeros(5, dtype=torch.long))
    torch.testing.assert_close(loss.running_prior, before, rtol=0, atol=0)


def test_the_effective_prior_starts_from_the_training_prior_and_compensates_it():
    logits, targets = batch()
    effective = LogitAdjustedLoss(prior='effective', class_counts=COUNTS).eval()
    train = LogitAdjustedLoss(class_counts=COUNTS)
    torch.testing.assert_close(effective(logits, targets), train(logits, targets))


def test_a_batch_without_label_mass_counts_no_step():
    loss = LogitAdjustedLoss(prior='effective', class_counts=COUNTS)
    before = loss.running_prior.clone()
    loss(torch.zeros(2, len(COUNTS)), torch.zeros(2, len(COUNTS)))
    assert torch.equal(loss.running_prior, before) and loss.running_steps == 0


def test_the_effective_prior_does_not_move_where_no_gradient_is_taken():
    """A look at the training loss, by a hook or a second forward pass, is no step."""
    logits, targets = batch()
    loss = LogitAdjustedLoss(prior='effective', class_counts=COUNTS)
    before = loss.running_prior.clone()
    with torch.no_grad():
        loss(logits, targets)
    assert torch.equal(loss.running_prior, before) and loss.running_steps == 0
    loss(logits, targets)
    assert not torch.equal(loss.running_prior, before) and loss.running_steps == 1


def test_an_interpolated_prior_lies_between():
    logits, targets = batch()
    losses = {}
    for prior in ('train', 0.5, 'effective'):
        loss = LogitAdjustedLoss(prior=prior, class_counts=COUNTS)
        if prior != 'train':
            loss.running_prior.copy_(torch.tensor([0.2, 0.3, 0.5]))
        losses[prior] = loss.eval()._offset(targets, logits)
    middle = (losses['train'] + losses['effective']) / 2
    torch.testing.assert_close(losses[0.5], middle)


def test_the_running_prior_is_in_the_state_dict_and_loads_before_counts_arrive():
    logits, targets = batch()
    loss = LogitAdjustedLoss(prior='effective', class_counts=COUNTS)
    loss(logits, targets)
    state = loss.state_dict()
    assert set(state) == {'running_prior', 'running_steps'}
    fresh = LogitAdjustedLoss(prior='effective')
    fresh.load_state_dict(state)
    fresh.set_class_counts(COUNTS)
    torch.testing.assert_close(fresh(logits, targets), loss(logits, targets))
    assert not LogitAdjustedLoss(class_counts=COUNTS).state_dict()


@pytest.mark.parametrize('kind', [LogitAdjustedLoss, LDAMLoss])
def test_class_weights_give_soft_and_hard_targets_one_scale(kind):
    loss = kind(class_counts=COUNTS, class_weight='effective_number')
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, len(COUNTS), generator=generator, dtype=torch.float64).tanh()
    targets = torch.tensor([0, 1, 2, 0, 1, 0])
    one_hot = F.one_hot(targets, len(COUNTS)).double()
    for options in ({}, dict(avg_factor=6)):
        torch.testing.assert_close(
            loss(logits, one_hot, **options), loss(logits, targets, **options), rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize('soft', [False, True])
@pytest.mark.parametrize('reduction', ['mean', 'sum', 'none'])
def test_label_smoothing_is_that_of_mmpretrain_on_adjusted_logits(soft, reduction):
    logits, targets = batch()
    if soft:
        scores = F.one_hot(targets, 3).float()
        targets = 0.7 * scores + 0.3 * scores.flip(0)
    stock = LabelSmoothLoss(label_smooth_val=0.1, mode='original', reduction=reduction)
    ours = LogitAdjustedLoss(class_counts=COUNTS, label_smooth_val=0.1, reduction=reduction)
    adjusted = logits + (torch.tensor(COUNTS) / sum(COUNTS)).log()
    torch.testing.assert_close(ours(logits, targets), stock(adjusted, targets))
    plain = LogitAdjustedLoss(tau=0, class_counts=COUNTS, label_smooth_val=0.1, reduction=reduction)
    torch.testing.assert_close(plain(logits, targets), stock(logits, targets))


def test_smoothing_gives_nothing_to_a_class_that_is_left_out():
    logits = torch.tensor([[1.0, 5.0, 2.0]], requires_grad=True)
    options = dict(label_smooth_val=0.2, empty_classes='ignore')
    loss = LogitAdjustedLoss(class_counts=[3, 0, 1], **options)(logits, torch.tensor([0]))
    two = LogitAdjustedLoss(class_counts=[3, 1], label_smooth_val=0.2)
    torch.testing.assert_close(loss, two(logits[:, ::2], torch.tensor([0])))
    loss.backward()
    assert logits.grad[0, 1] == 0 and logits.grad.isfinite().all()


def test_the_effective_prior_is_that_of_labels_without_smoothing():
    logits, targets = batch()
    smoothed = LogitAdjustedLoss(prior='effective', class_counts=COUNTS, label_smooth_val=0.3)
    plain = LogitAdjustedLoss(prior='effective', class_counts=COUNTS)
    smoothed(logits, targets), plain(logits, targets)
    assert torch.equal(smoothed.running_prior, plain.running_prior)
