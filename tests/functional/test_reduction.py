"""Class weights of mixed labels: each of the two labels has a mean of its own."""

import pytest
import torch
import torch.nn.functional as F

from mmlt.functional.ldam import ldam_cross_entropy, ldam_margins
from mmlt.functional.logit_adjustment import cross_entropy
from mmlt.functional.reduction import reduce_scores
from mmlt.models import CMOBatchAugment, LDAMLoss, LogitAdjustedLoss
from tests.references.logit_adjustment import ldam, logit_adjusted_cross_entropy

COUNTS = [100, 40, 9, 3, 1]
WEIGHT = torch.tensor([0.1, 0.2, 0.7, 1.5, 2.5], dtype=torch.float64)


def batch(n=8, seed=0):
    """Logits, anchors and partners; the first pair is of one class."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, 5, generator=generator, dtype=torch.float64)
    anchors, partners = torch.randint(5, (2, n), generator=generator)
    partners[0] = anchors[0]
    return logits, F.one_hot(anchors, 5).double(), F.one_hot(partners, 5).double()


def one_mean(logits, scores):
    """All labels share one normalisation."""
    return logit_adjusted_cross_entropy(logits, scores, COUNTS, 0.0, WEIGHT)


@pytest.mark.parametrize('lam', [0.0, 0.1, 0.45, 0.5001, 0.9, 1.0])
def test_one_factor_mixes_the_weighted_losses_of_both_labels(lam):
    logits, anchors, partners = batch()
    scores = lam * anchors + (1 - lam) * partners
    expected = lam * one_mean(logits, anchors) + (1 - lam) * one_mean(logits, partners)
    got = cross_entropy(logits, scores, WEIGHT)
    torch.testing.assert_close(got.item(), expected, rtol=1e-12, atol=0)
    if 0 < lam < 1:
        assert abs(got.item() - one_mean(logits, scores)) > 1e-3

    margins = ldam_margins(COUNTS, 0.5)
    cosines = logits.tanh()
    a, b = (ldam(cosines, labels, COUNTS, 0.5, 30.0, WEIGHT) for labels in (anchors, partners))
    got = ldam_cross_entropy(cosines, scores, margins, weight=WEIGHT).item()
    torch.testing.assert_close(got, lam * a + (1 - lam) * b, rtol=1e-12, atol=0)


def uneven(anchors, partners):
    lam = torch.linspace(0.1, 0.9, len(anchors), dtype=torch.float64)[:, None]
    return lam * anchors + (1 - lam) * partners


def three_classes(anchors, partners):
    """Different ones in every image, so that their number alone tells them from two."""
    return 0.6 * anchors + 0.3 * anchors.roll(1, dims=1) + 0.1 * anchors.roll(2, dims=1)


def halves(anchors, partners):
    return 0.5 * anchors + 0.5 * partners


@pytest.mark.parametrize('mix', [uneven, three_classes, halves])
def test_other_labels_share_one_mean(mix):
    logits, anchors, partners = batch()
    scores = mix(anchors, partners)
    got = cross_entropy(logits, scores, WEIGHT).item()
    torch.testing.assert_close(got, one_mean(logits, scores), rtol=1e-12, atol=0)


def test_equal_weights_are_no_weights():
    logits, anchors, partners = batch()
    scores = 0.3 * anchors + 0.7 * partners
    weighted = cross_entropy(logits, scores, torch.full((5,), 3.0))
    torch.testing.assert_close(weighted, cross_entropy(logits, scores))


def test_order_of_classes_and_images_does_not_matter():
    logits, anchors, partners = batch()
    scores = 0.3 * anchors + 0.7 * partners
    classes, images = torch.tensor([3, 1, 4, 0, 2]), torch.randperm(8)
    permuted = cross_entropy(
        logits[images][:, classes], scores[images][:, classes], WEIGHT[classes]
    )
    torch.testing.assert_close(permuted, cross_entropy(logits, scores, WEIGHT))


def test_an_image_without_labels_has_no_part():
    logits, anchors, partners = batch()
    scores = 0.3 * anchors + 0.7 * partners
    scores[3] = 0
    kept = torch.arange(8) != 3
    alone = cross_entropy(logits[kept], scores[kept], WEIGHT)
    torch.testing.assert_close(cross_entropy(logits, scores, WEIGHT), alone)
    assert cross_entropy(logits, torch.zeros_like(scores), WEIGHT) == 0


def test_not_a_number_in_scores_is_not_passed_over():
    logits, anchors, partners = batch()
    scores = 0.3 * anchors + 0.7 * partners
    for classes in (slice(None), 2):
        broken = scores.clone()
        broken[3, classes] = torch.nan
        assert cross_entropy(logits, broken, WEIGHT).isnan()


def test_one_class_and_gradients():
    assert reduce_scores(torch.ones(2, 1), torch.ones(2, 1), torch.ones(1), 'mean') == 1
    logits, anchors, partners = batch(4)
    scores = 0.3 * anchors + 0.7 * partners
    assert torch.autograd.gradcheck(
        lambda x: cross_entropy(x, scores, WEIGHT), logits.requires_grad_()
    )


@pytest.mark.parametrize('kind', [LogitAdjustedLoss, LDAMLoss])
def test_cmo_with_class_weights_is_that_of_its_released_code(kind):
    augment = CMOBatchAugment()
    augment.set_progress(epoch=0, max_epochs=1, iteration=2, seed=0)
    logits, anchors, partners = batch()
    images = torch.zeros(8, 1, 4, 4)
    mixed, scores = augment.mix(images, images + 1, anchors.float(), partners.float())
    loss = kind(class_counts=COUNTS, class_weight=WEIGHT.tolist())
    foreground = mixed.mean(dtype=torch.float64).item()
    assert 0.1 < foreground < 0.9 and foreground != 0.5
    released = (1 - foreground) * loss(logits, anchors.argmax(1)) + foreground * loss(
        logits, partners.argmax(1)
    )
    torch.testing.assert_close(loss(logits, scores), released, rtol=1e-6, atol=0)
