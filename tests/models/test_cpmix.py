"""CP-Mix: its mixture and labels, and the pairing within the batch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmlt.models.batch_augments import CPMixBatchAugment
from tests.models.batch_augment_cases import CLASS_COUNTS, CLASSES, CONFUSION, apply, batch, build
from tests.references import mixing as reference
from tests.references.sampling import chi_square_p_value


@pytest.mark.parametrize(
    'rule, tau', [('prior', 1.0), ('prior', 0.5), ('linear', 1.0), ('remix', 1.0)]
)
def test_mixture_and_labels_against_loop(rule, tau):
    images, scores = batch(40)
    augment = CPMixBatchAugment(alpha=0.6, tau=tau, label_rule=rule)
    augment.set_class_counts(CLASS_COUNTS)
    augment.set_progress(epoch=0, max_epochs=1, iteration=9, seed=1)
    mixed, labels = augment.mix(images[:20], images[20:], scores[:20], scores[20:])
    lams = np.random.default_rng([1, 9]).beta(0.6, 0.6, 20)
    assert len(set(lams)) == 20
    counts = [CLASS_COUNTS[int(score.argmax())] for score in scores]
    weights = [
        reference.label_weight(rule, lam, n_i, n_j, tau)
        for lam, n_i, n_j in zip(lams, counts[:20], counts[20:], strict=True)
    ]
    expected = [
        reference.mixup_pixels(a, b, lam)
        for a, b, lam in zip(images[:20], images[20:], lams, strict=True)
    ]
    assert torch.equal(mixed, torch.stack(expected))
    torch.testing.assert_close(
        labels, reference.mixed_labels(scores[:20], scores[20:], weights), rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize('options', [dict(tau=0), dict(label_rule='linear')])
def test_tau_0_is_mixup_bit_for_bit(options):
    images, scores = batch(16, soft=True)
    augment = CPMixBatchAugment(alpha=0.6, **options)
    augment.set_progress(epoch=0, max_epochs=1, iteration=9, seed=1)
    mixed, labels = augment.mix(images[:8], images[8:], scores[:8], scores[8:])
    lams = np.random.default_rng([1, 9]).beta(0.6, 0.6, 8)
    for tensor, made in ((images, mixed), (scores, labels)):
        expected = [
            reference.mixup_pixels(a, b, lam)
            for a, b, lam in zip(tensor[:8], tensor[8:], lams, strict=True)
        ]
        assert torch.equal(made, torch.stack(expected))


def test_pixels_do_not_depend_on_the_label_rule():
    images, scores = batch()
    made = [apply(name, build(name), images, scores)[0] for name in ('cpmix', 'cpmix_mixup')]
    assert torch.equal(*made)


def test_the_label_leans_to_the_rarer_class():
    images = torch.zeros(2, 1, 2, 2)
    scores = F.one_hot(torch.tensor([0, 5]), CLASSES).float()
    for iteration in range(20):
        augment = build('cpmix', iteration)
        lam = np.random.default_rng([7, iteration]).beta(1, 1, 1)[0]
        _, labels = augment.mix(images[:1], images[1:], scores[:1], scores[1:])
        assert 0 <= labels[0, 0] <= lam


def one_hot_batch(classes):
    """Images that are their own position, so that a mixture tells who was mixed."""
    images = torch.arange(len(classes), dtype=torch.float64).view(-1, 1, 1, 1)
    return images, F.one_hot(torch.tensor(classes), CLASSES).double()


def partners_drawn(augment, classes, repeats, epoch=3):
    """(repeats, N) positions of the partners, read from the mixed pixels."""
    images, scores = one_hot_batch(classes)
    drawn = []
    for iteration in range(repeats):
        augment.set_progress(epoch=epoch, max_epochs=9, iteration=iteration, seed=0)
        mixed, _ = augment(images, scores)
        rng = np.random.default_rng([0, iteration])
        rng.random()
        rng.random(len(classes))
        lam = torch.from_numpy(rng.beta(1, 1, len(classes)))
        partners = (mixed.flatten() - lam * images.flatten()) / (1 - lam)
        drawn.append(partners.round().long().numpy())
    return np.array(drawn)


@pytest.mark.parametrize('normalize', [pytest.param(False, marks=pytest.mark.slow), True])
def test_in_batch_pairs_follow_the_confusion(normalize):
    classes = [0, 0, 0, 1, 1, 2, 3, 4]
    augment = CPMixBatchAugment(label_rule='linear', prob=1.0, normalize_confusion=normalize)
    augment.set_class_counts(CLASS_COUNTS)
    augment.set_confusion_counts(CONFUSION)
    drawn = partners_drawn(augment, classes, repeats=3000)
    expected = reference.in_batch_law(CONFUSION.numpy(), classes, classes, normalize)
    for position in range(len(classes)):
        times = np.bincount(drawn[:, position], minlength=len(classes))
        assert chi_square_p_value(times, expected[position] * len(drawn)) > 1e-3


def test_in_batch_without_counts_is_class_balanced():
    classes = [0, 0, 0, 4]
    augment = CPMixBatchAugment(label_rule='linear', prob=1.0)
    drawn = partners_drawn(augment, classes, repeats=2000, epoch=0)
    times = np.bincount(drawn.ravel(), minlength=4)
    assert chi_square_p_value(times, np.array([1, 1, 1, 3]) / 6 * times.sum()) > 1e-3


@pytest.mark.parametrize(
    'form',
    [
        lambda counts: counts,
        lambda counts: counts.to_sparse(),
        lambda counts: counts.numpy(),
        lambda counts: counts.int(),
        lambda counts: counts.tolist(),
    ],
)
def test_counts_in_any_form(form):
    images, scores = batch()
    augment, other = build('cpmix_in_batch'), build('cpmix_in_batch')
    before = CONFUSION.clone()
    other.set_confusion_counts(form(CONFUSION))
    assert torch.equal(augment(images, scores)[0], other(images, scores)[0])
    assert torch.equal(CONFUSION, before)


def test_counts_of_another_number_of_classes():
    augment = build('cpmix_in_batch')
    augment.set_confusion_counts(torch.ones(3, 3))
    with pytest.raises(ValueError, match=r'\(N, 3\)'):
        augment(*batch())
    with pytest.raises(ValueError, match='counts'):
        augment.set_confusion_counts(torch.ones(3, 2))


def test_it_starts_at_its_epoch():
    images, scores = batch()
    augment = build('cpmix_in_batch', start_epoch=2)
    for epoch in range(4):
        augment.set_progress(epoch=epoch, max_epochs=4, iteration=epoch, seed=0)
        mixed, labels = augment(images, scores)
        assert torch.equal(mixed, images) == (epoch < 2)
        assert torch.equal(labels, scores) == (epoch < 2)


def test_in_batch_pairing_is_said_once_in_the_log(monkeypatch):
    messages = []
    monkeypatch.setattr(
        'mmlt.models.batch_augments.cpmix.print_log',
        lambda message, **kwargs: messages.append(message),
    )
    paired = build('cpmix')
    apply('cpmix', paired, *batch())
    assert not messages
    augment = build('cpmix_in_batch')
    for _ in range(3):
        augment(*batch())
    assert len(messages) == 1 and 'within the batch' in messages[0]


def test_missing_counts_are_an_error_after_the_first_epoch():
    augment = CPMixBatchAugment(label_rule='linear', prob=1.0, start_epoch=1)
    assert augment.wants_confusion_counts
    for epoch in (0, 1):
        augment.set_progress(epoch=epoch, max_epochs=3, iteration=epoch, seed=0)
        augment(*batch())
    augment.set_progress(epoch=2, max_epochs=3, iteration=2, seed=0)
    with pytest.raises(ValueError, match=r'confusion counts.*LongTailHook'):
        augment(*batch())
