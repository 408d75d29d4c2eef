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


@pytest.mark.parametrize('lam', [0.0, 1e-4, 0.1, 0.45, 0.5001, 0.9999, 1.0])
def test_one_factor_mixes_the_weighted_losses_of_both_labels(lam):
    logits, anchors, partners = batch()
    scores = lam * anchors + (1 - lam) * partners
    expected = lam * one_mean(logits, anchors) + (1 - lam) * one_mean(logits, partners)
    got = cross_entropy(logits, scores, WEIGHT)
    torch.testing.assert_close(got.item(), expected, rtol=1e-12, atol=0)
    if 0.01 < lam < 0.99:
        assert abs(got.item() - one_mean(logits, scores)) > 1e-3

    margins = ldam_margins(COUNTS, 0.5)
    cosines = logits.tanh()
    a, b = (ldam(cosines, labels, COUNTS, 0.5, 30.0, WEIGHT) for labels in (anchors, partners))
    got = ldam_cross_entropy(cosines, scores, margins, weight=WEIGHT).item()
    torch.testing.assert_close(got, lam * a + (1 - lam) * b, rtol=1e-12, atol=0)


def uneven(anchors, partners):
    return 0.7 * anchors + 0.3 * partners + 1e-6 * factors(anchors) * (anchors - partners)


def factors(anchors):
    return torch.linspace(0, 1, len(anchors), dtype=torch.float64)[:, None]


def three_classes(anchors, partners):
    """Different ones in every image, so that their number alone tells them from two."""
    return 0.6 * anchors + 0.3 * anchors.roll(1, dims=1) + 0.1 * anchors.roll(2, dims=1)


def three_classes_once(anchors, partners):
    scores = 0.7 * anchors + 0.3 * anchors.roll(1, dims=1)
    scores[2] = three_classes(anchors, partners)[2] + 0.1 * anchors[2] - 0.1 * anchors.roll(1, 1)[2]
    return scores


def halves(anchors, partners):
    return 0.5 * anchors + 0.5 * partners


@pytest.mark.parametrize('mix', [uneven, three_classes, three_classes_once, halves])
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
    classes, images = torch.tensor([3, 1, 4, 0, 2]), torch.tensor([6, 0, 3, 7, 1, 5, 2, 4])
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


@pytest.mark.parametrize('image', [0, 3])
@pytest.mark.parametrize('value', [torch.nan, torch.inf])
def test_not_a_number_in_scores_is_not_passed_over(image, value):
    """The first image has one label, the other one two."""
    logits, anchors, partners = batch()
    scores = 0.3 * anchors + 0.7 * partners
    for classes in (slice(None), int(anchors[image].argmax())):
        broken = scores.clone()
        broken[image, classes] = value
        assert not cross_entropy(logits, broken, WEIGHT).isfinite()


def test_a_label_without_weight_leaves_one_mean():
    logits = batch(2)[0]
    scores = torch.tensor([[0.3, 0.7, 0, 0, 0], [0.3, 0, 0.7, 0, 0]], dtype=torch.float64)
    weight = torch.tensor([2.0, 0.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    own = cross_entropy(logits, torch.tensor([0, 0]))
    torch.testing.assert_close(cross_entropy(logits, scores, weight), own)


@pytest.mark.parametrize('smoothing', [0.0, 0.1])
def test_smoothed_labels_of_two_classes_are_not_taken_for_mixed_ones(smoothing):
    logits, anchors, _ = batch()
    hard = anchors.argmax(1) % 2
    soft = F.one_hot(hard, 2).double()
    expected = logit_adjusted_cross_entropy(
        logits[:, :2], soft, [3, 1], 0.0, [0.2, 1.8], label_smooth_val=smoothing
    )
    for labels in (hard, soft):
        weight = torch.tensor([0.2, 1.8])
        got = cross_entropy(logits[:, :2], labels, weight, label_smooth_val=smoothing)
        torch.testing.assert_close(got.item(), expected, rtol=1e-7, atol=0)


def test_two_classes_can_be_mixed():
    logits, *labels = batch()
    anchors, partners = (F.one_hot(part.argmax(1) % 2, 2).double() for part in labels)
    logits, weight = logits[:, :2], torch.tensor([0.2, 1.8], dtype=torch.float64)
    a, b = (cross_entropy(logits, part, weight) for part in (anchors, partners))
    mixed = cross_entropy(logits, 0.3 * anchors + 0.7 * partners, weight)
    torch.testing.assert_close(mixed, 0.3 * a + 0.7 * b)


def test_one_class_small_weights_and_types():
    assert reduce_scores(torch.ones(2, 1), torch.ones(2, 1), torch.ones(1), 'mean') == 1
    logits, anchors, partners = batch()
    scores = 0.3 * anchors + 0.7 * partners
    loss = cross_entropy(logits, scores, WEIGHT)
    torch.testing.assert_close(cross_entropy(logits, scores, 1e-30 * WEIGHT), loss)
    single = cross_entropy(logits.float(), scores, WEIGHT)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single, loss.float())


@pytest.mark.parametrize('mix', [uneven, halves, lambda a, b: 0.3 * a + 0.7 * b])
def test_gradients(mix):
    logits, anchors, partners = batch(4)
    scores = mix(anchors, partners)
    assert torch.autograd.gradcheck(
        lambda x: cross_entropy(x, scores, WEIGHT), logits.requires_grad_()
    )


def test_nothing_waits_for_the_device():
    """A tensor on the meta device has no values to wait for."""
    shape = torch.empty(8, 5, device='meta')
    assert reduce_scores(shape, shape, torch.empty(5, device='meta'), 'mean').device.type == 'meta'


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
