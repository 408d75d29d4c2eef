"""Class probabilities, pools and pairs against loops; their speed and memory at scale."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
import torch

from mmlt.functional.confusion.pairs import pair_distribution
from mmlt.functional.sampling import (
    class_pools,
    class_quotas,
    class_sampling_probabilities,
    draw_classes,
    draw_images,
    effective_number_probabilities,
    next_images,
    progressive_probabilities,
)
from tests.references import sampling as reference

COUNTS = [50, 12, 0, 3, 1]
CONFUSION = np.array(
    [[40, 6, 2, 3, 0], [1, 9, 0, 2, 0], [5, 0, 0, 0, 0], [2, 0, 1, 0, 0], [0, 0, 0, 0, 1]]
)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize('power', [1, 0.5, 0, -1, 0.3])
@pytest.mark.parametrize('kind', [list, np.array, torch.tensor])
def test_power_law_equals_loop(power, kind):
    law = class_sampling_probabilities(kind(COUNTS), power)
    np.testing.assert_allclose(law, reference.class_law(COUNTS, power), rtol=1e-12)
    assert law.dtype == torch.float64


def test_power_law_does_not_overflow():
    law = class_sampling_probabilities([100_000, 1], -500)
    assert law.tolist() == [0, 1]


@pytest.mark.parametrize('beta', [0, 0.9, 0.9999])
def test_effective_number_law_equals_loop(beta):
    np.testing.assert_allclose(
        effective_number_probabilities(COUNTS, beta),
        reference.effective_number_law(COUNTS, beta),
        rtol=1e-9,
    )


def test_progressive_law_ends():
    start = class_sampling_probabilities(COUNTS, 1)
    end = class_sampling_probabilities(COUNTS, 0)
    assert torch.equal(progressive_probabilities(start, end, 0), start)
    assert torch.equal(progressive_probabilities(start, end, 1), end)
    torch.testing.assert_close(progressive_probabilities(start, end, 0.5), (start + end) / 2)


@pytest.mark.parametrize(
    'call',
    [
        lambda: class_sampling_probabilities([0, 0], 1),
        lambda: class_sampling_probabilities([1, -1], 1),
        lambda: class_sampling_probabilities([1], float('nan')),
        lambda: effective_number_probabilities([1], 1.0),
        lambda: class_pools([0, 3], 3),
        lambda: class_pools([], 3),
        lambda: class_pools([0.5, 1.0], 3),
        lambda: class_pools([[0], [1]], 3),
        lambda: pair_distribution(np.zeros((2, 3))),
        lambda: pair_distribution(np.zeros((3, 3)), [1, 1]),
        lambda: pair_distribution([[0, -1], [0, 0]], [1, 1]),
        lambda: pair_distribution([[0, float('nan')], [0, 0]], [1, 1]),
        lambda: pair_distribution(torch.zeros(2, 2, device='meta')),
    ],
)
def test_bad_input(call):
    with pytest.raises(ValueError, match=r'expected|empty'):
        call()


def test_drawn_classes_follow_the_law():
    law = reference.class_law(COUNTS, 0.5)
    times = np.bincount(draw_classes(law, 20_000, rng()), minlength=5)
    assert times[2] == 0
    assert reference.chi_square_p_value(times, law * 20_000) > 1e-3


def test_an_empty_class_is_not_drawn_even_at_the_ends():
    class Extremes:
        def random(self, size):
            return np.array([0.0, np.nextafter(1, 0)])

    assert draw_classes([0.0, 0.1, 0.0, 0.2, 0.0], 2, Extremes()).tolist() == [1, 3]


def test_quotas_are_rounded_expectations_and_unbiased():
    law = reference.class_law(COUNTS, -0.5)
    quotas = np.stack([class_quotas(law, 10, rng(seed)) for seed in range(2000)])
    assert (quotas.sum(1) == 10).all()
    assert (abs(quotas - law * 10) < 1).all()
    np.testing.assert_allclose(quotas.mean(0), law * 10, atol=0.05)


def test_quotas_with_more_classes_than_draws():
    quotas = class_quotas(np.full(100, 0.01), 7, rng())
    assert quotas.sum() == 7 and quotas.max() == 1


def test_drawn_images_are_uniform_within_the_class():
    labels = np.array([3, 1, 3, 0, 3])
    images = draw_images(class_pools(labels, 4), np.full(9000, 3), rng())
    times = np.bincount(images, minlength=5)
    assert reference.chi_square_p_value(times, [3000, 0, 3000, 0, 3000]) > 1e-3


def test_pools_are_walked_without_repetition():
    labels = rng(1).permutation(np.repeat(np.arange(5), COUNTS))
    pools = class_pools(labels, 5)
    law = reference.class_law(COUNTS, 0)
    walked, drawn = [], np.zeros(5, dtype=int)
    for part in range(6):
        classes = draw_classes(law, 37, rng(part))
        images = next_images(pools, classes, drawn, seed=4)
        assert (labels[images] == classes).all()
        drawn = drawn + np.bincount(classes, minlength=5)
        walked.extend(images)
    assert not reference.repeats_before_exhaustion(walked, labels)


def test_pool_orders_differ_by_round_class_and_seed():
    pools = class_pools(np.repeat([0, 1], 50), 2)
    rounds = next_images(pools, np.zeros(150, int), np.zeros(2, int), 0).reshape(3, 50)
    other_class = next_images(pools, np.ones(50, int), np.zeros(2, int), 0) - 50
    other_seed = next_images(pools, np.zeros(50, int), np.zeros(2, int), 1)
    orders = [*rounds, other_class, other_seed]
    assert len({tuple(order) for order in orders}) == len(orders)
    for order in orders:
        assert sorted(order) == list(range(50))
        # A shuffle, not a ramp: rank correlation of 50 items has deviation 1/7.
        assert abs(np.corrcoef(order, np.arange(50))[0, 1]) < 0.5


def test_every_place_of_a_pool_is_equally_likely():
    pools = class_pools(np.zeros(6, int), 1)
    first = [
        next_images(pools, np.zeros(1, int), np.zeros(1, int), seed)[0] for seed in range(3000)
    ]
    assert reference.chi_square_p_value(np.bincount(first, minlength=6), np.full(6, 500)) > 1e-3


@pytest.mark.parametrize('normalize', [False, True])
def test_confusion_pairs_follow_the_counts(normalize):
    pairs = pair_distribution(CONFUSION, COUNTS, normalize)
    true, predicted = pairs.draw_pairs(20_000, rng())
    observed = np.zeros((5, 5))
    np.add.at(observed, (true, predicted), 1)
    expected = reference.pair_law(CONFUSION, COUNTS, normalize) * 20_000
    assert reference.chi_square_p_value(observed, expected) > 1e-3


@pytest.mark.parametrize('normalize', [False, True])
def test_partner_classes_follow_the_anchor(normalize):
    pairs = pair_distribution(CONFUSION, COUNTS, normalize).symmetrised()
    anchors = np.repeat([0, 1, 3, 4], 5000)
    partners = pairs.draw_partners(anchors, reference.class_law(COUNTS, 0), rng())
    expected = reference.partner_law(CONFUSION, COUNTS, normalize)
    for anchor in (0, 1, 3, 4):
        times = np.bincount(partners[anchors == anchor], minlength=5)
        assert reference.chi_square_p_value(times, expected[anchor] * 5000) > 1e-3


def test_rounding_does_not_leave_the_pairs_of_the_class():
    class AlmostOne:
        def random(self, size):
            return np.full(size, np.nextafter(1, 0))

    pairs = pair_distribution([[0, 1e16, 0], [0, 0, 2], [1, 0, 0]])
    assert pairs.draw_partners(np.array([0, 1, 2]), np.ones(3), AlmostOne()).tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    'kind',
    [
        torch.tensor,
        lambda counts: torch.tensor(counts, dtype=torch.float32),
        lambda counts: torch.tensor(counts).to_sparse(),
        lambda counts: torch.tensor(counts.T.copy()).T,
        lambda counts: counts.tolist(),
    ],
)
def test_confusion_counts_in_every_form(kind):
    expected = pair_distribution(CONFUSION, COUNTS)
    found = pair_distribution(kind(CONFUSION), COUNTS)
    for name in ('first', 'second', 'weights'):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_without_errors_partners_follow_the_fallback():
    pairs = pair_distribution(np.diag(COUNTS), COUNTS).symmetrised()
    partners = pairs.draw_partners(np.zeros(50, int), [0.0, 0.0, 0.0, 1.0, 0.0], rng())
    assert (partners == 3).all()


@pytest.mark.slow
def test_an_epoch_of_inaturalist_size():
    """437,513 pairs of 8,142 classes in under a second, without a dense copy of the counts."""
    num_classes, size = 8142, 437_513
    labels = rng().permutation(np.arange(size) % num_classes)
    pools = class_pools(labels, num_classes)
    counts = torch.zeros(num_classes, num_classes, dtype=torch.int32)
    wrong = torch.randint(num_classes, (300_000, 2), generator=torch.Generator().manual_seed(0))
    counts[wrong[:, 0], wrong[:, 1]] += 1
    fallback = np.full(num_classes, 1 / num_classes)

    def epoch():
        pairs = pair_distribution(counts, pools.counts).symmetrised()
        classes = pairs.draw_partners(labels, fallback, rng())
        return draw_images(pools, classes, rng())

    best = min(_seconds(epoch) for _ in range(3))
    tracemalloc.start()
    epoch()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert best < 1.0
    # A copy would take 265 MB.
    assert peak < 100e6


def test_pool_by_pool_at_inaturalist_size():
    size, num_classes = 437_513, 8142
    pools = class_pools(np.arange(size) % num_classes, num_classes)
    classes = rng().permutation(np.arange(size) % num_classes)
    drawn = np.full(num_classes, 1000)
    assert min(_seconds(lambda: next_images(pools, classes, drawn, 0)) for _ in range(3)) < 0.5


def _seconds(function):
    # Time of this process: other jobs on the machine do not count.
    start = time.process_time()
    function()
    return time.process_time() - start
