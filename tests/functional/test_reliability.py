"""Intervals, calibration and priors against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mmlt.functional.counts import class_prior
from mmlt.functional.metrics.calibration import reliability
from mmlt.functional.metrics.priors import accuracy_under_prior, reversed_prior, reweighted
from mmlt.functional.metrics.uncertainty import (
    class_mean_difference_interval,
    class_mean_interval,
    difference_interval,
    t_interval,
    wilson_interval,
)
from tests.references.reliability import (
    accuracy_of_a_resampled_test_set,
    calibration_error,
    wilson_by_search,
)


@pytest.mark.parametrize('correct, images', [(0, 10), (1, 3), (5, 10), (10, 10), (59, 60)])
@pytest.mark.parametrize('z', [1.0, 1.96])
def test_wilson_keeps_the_shares_that_a_score_test_keeps(correct, images, z):
    low, high = wilson_interval([correct], [images], z)
    np.testing.assert_allclose(
        [low[0], high[0]], wilson_by_search(correct, images, z), atol=1e-5, rtol=0
    )


def test_wilson_of_a_class_without_images_is_unknown():
    low, high = wilson_interval([0, 1], [0, 1])
    assert np.isnan(low[0]) and np.isnan(high[0]) and low[1] < 1 == high[1]


def test_wilson_refuses_more_right_images_than_there_are():
    with pytest.raises(ValueError, match='correct: expected counts'):
        wilson_interval([3], [2])
    with pytest.raises(ValueError, match='one shape'):
        wilson_interval([3], [4, 5])


def test_the_interval_of_a_mean_covers_as_often_as_it_says():
    generator = np.random.default_rng(0)
    truth, images = generator.uniform(0.2, 1, 8), generator.integers(5, 40, 8)
    covered = 0
    for _ in range(2000):
        low, high = class_mean_interval(generator.binomial(images, truth), images)
        covered += low <= truth.mean() <= high
    assert 0.93 < covered / 2000 < 0.99


def test_the_interval_of_a_mean_leaves_out_classes_without_images():
    assert class_mean_interval([3, 0], [4, 0]) == class_mean_interval([3], [4])
    assert math.isnan(class_mean_interval([0], [0])[0])
    low, high = class_mean_interval([10], [10])
    assert low < 1 == high


@pytest.mark.parametrize('images', [12, 60])
def test_intervals_of_a_difference_cover_as_often_as_they_say(images):
    generator = np.random.default_rng(0)
    # gained, lost, the same: of each of three classes
    shares = np.array([[0.2, 0.1, 0.7], [0.05, 0.05, 0.9], [0.0, 0.3, 0.7]])
    truth = shares[:, 0] - shares[:, 1]
    one, mean = 0, 0
    for _ in range(2000):
        gained, lost, _ = np.array([generator.multinomial(images, row) for row in shares]).T
        total = np.full(3, images)
        low, high = difference_interval(gained, lost, total)
        one += low[0] <= truth[0] <= high[0]
        low, high = class_mean_difference_interval(gained, lost, total)
        mean += low <= truth.mean() <= high
    assert 0.93 < one / 2000 < 0.985 and 0.93 < mean / 2000 < 0.99


def test_a_difference_turns_round_with_the_models_and_leaves_out_empty_classes():
    low, high = difference_interval([3, 0], [1, 0], [10, 0])
    assert difference_interval([1], [3], [10]) == (-high[0], -low[0])
    assert np.isnan(low[1]) and np.isnan(high[1])
    one, other = class_mean_difference_interval([3, 0], [1, 0], [10, 0])
    assert (one, other) == class_mean_difference_interval([3], [1], [10])
    assert math.isnan(class_mean_difference_interval([0], [0], [0])[0])
    with pytest.raises(ValueError, match=r'gained \+ lost: expected counts'):
        difference_interval([3], [2], [4])


@pytest.mark.parametrize('confidence', [0.5, 0.95, 0.99])
@pytest.mark.parametrize('size', [2, 3, 5, 40])
def test_the_interval_over_seeds_is_students(size, confidence):
    stats = pytest.importorskip('scipy.stats')
    values = np.random.default_rng(size).normal(3.0, 2.0, size)
    low, high = stats.t.interval(confidence, size - 1, loc=values.mean(), scale=stats.sem(values))
    np.testing.assert_allclose(t_interval(values, confidence), (low, high), rtol=1e-6)


def test_the_interval_over_seeds_needs_two_of_them():
    assert all(map(math.isnan, t_interval([3.0]) + t_interval([])))
    assert t_interval([2.0, 2.0]) == (2.0, 2.0)
    for wrong in ([1.0, math.nan], [[1.0, 2.0]]):
        with pytest.raises(ValueError, match='values: expected finite numbers'):
            t_interval(wrong)


@pytest.mark.parametrize('bins', [1, 4, 15])
def test_calibration_error_follows_its_definition(bins):
    generator = np.random.default_rng(bins)
    confidence = np.round(generator.uniform(size=200), 2)  # some on the edges of bins
    confidence[:2] = 0, 1
    correct = generator.uniform(size=200) < confidence**2
    found = reliability(confidence, correct, bins)
    assert found.images.sum() == 200
    assert found.error == pytest.approx(calibration_error(confidence, correct, bins))
    order = generator.permutation(200)
    assert reliability(confidence[order], correct[order], bins).error == pytest.approx(found.error)


def test_calibration_of_nothing_is_unknown_and_logits_are_refused():
    assert math.isnan(reliability([], []).error)
    with pytest.raises(ValueError, match='confidence: expected probabilities'):
        reliability([3.0], [True])


def test_accuracy_under_a_prior_is_that_of_a_test_set_of_that_kind():
    accuracies, images = [0.9, 0.5, 0.1], [70, 20, 10]
    expected = accuracy_of_a_resampled_test_set(accuracies, images)
    assert accuracy_under_prior(accuracies, class_prior(images).numpy()) == pytest.approx(expected)
    turned = accuracy_of_a_resampled_test_set(accuracies, images[::-1])
    assert accuracy_under_prior(accuracies, reversed_prior(images)) == pytest.approx(turned)
    assert accuracy_under_prior([0.9, np.nan], [1, 5]) == pytest.approx(0.9)
    assert math.isnan(accuracy_under_prior([np.nan], [1]))


def test_turning_a_prior_round_twice_gives_it_back():
    counts = np.array([5, 100, 20, 1])
    assert sorted(reversed_prior(counts)) == sorted(class_prior(counts).numpy())
    assert np.argmax(reversed_prior(counts)) == 3
    np.testing.assert_allclose(reversed_prior(reversed_prior(counts)), class_prior(counts).numpy())


def test_reweighted_is_bayes_rule() -> None:
    """Class densities known, the posterior under another prior is that of the textbook."""
    rng = np.random.default_rng(0)
    densities = rng.random((6, 4))
    before, after = np.array([0.7, 0.2, 0.06, 0.04]), np.array([0.25, 0.25, 0.5, 0.0])

    def posterior(prior):
        joint = densities * prior
        return joint / joint.sum(axis=1, keepdims=True)

    with np.errstate(divide='ignore'):
        weights = np.log(after / before)
    np.testing.assert_allclose(reweighted(posterior(before), weights), posterior(after))
    assert reweighted([[1.0, 0.0]], [-np.inf, 0.0]).tolist() == [[0.0, 0.0]]
