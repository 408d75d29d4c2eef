"""Hard confusion by groups and pairs against loops, and the laws that it obeys."""

from __future__ import annotations

import numpy as np
import pytest

from mmlt.functional.counts import shot_groups
from mmlt.functional.metrics.tallies import (
    error_rates,
    group_confusion,
    hard_confusion,
    top_error_pairs,
)
from tests.references import confusion_groups as reference

COUNTS = [300, 200, 50, 40, 19, 5, 1, 1]


def draw(num_images=400, seed=0):
    """Labels and predictions; the last class has no test image, one image in 20 no prediction."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, len(COUNTS) - 1, num_images)
    predictions = np.where(
        rng.random(num_images) < 0.5, targets, rng.integers(0, len(COUNTS), num_images)
    )
    return np.where(rng.random(num_images) < 0.05, -1, predictions), targets


def test_group_shares_against_loops():
    predictions, targets = draw()
    groups = shot_groups(COUNTS)
    group_of = [name for k in range(len(COUNTS)) for name in groups if groups[name][k]]
    expected = reference.shares(predictions, targets, group_of)
    got = group_confusion(hard_confusion(predictions, targets, len(COUNTS)), groups)
    for row, name in enumerate(got.names):
        images, right, wrong = expected[name]
        assert got.images[row] == images
        assert got.right[row] == pytest.approx(right)
        assert got.wrong[row] == pytest.approx([wrong[other] for other in got.names])


def test_shares_of_a_group_sum_to_one_and_confusion_is_left_alone():
    confusion = hard_confusion(*draw(), len(COUNTS))
    before = confusion.copy()
    grouped = group_confusion(confusion, shot_groups(COUNTS))
    error_rates(confusion)
    np.testing.assert_array_equal(confusion, before)
    np.testing.assert_allclose(grouped.right + grouped.wrong.sum(axis=1), 1)


def test_one_class_a_group_gives_the_error_rates():
    confusion = hard_confusion(*draw(), len(COUNTS))
    groups = {str(k): row for k, row in enumerate(np.eye(len(COUNTS)))}
    grouped = group_confusion(confusion, groups)
    np.testing.assert_allclose(np.nan_to_num(grouped.wrong), error_rates(confusion))


def test_renaming_the_classes_changes_nothing():
    predictions, targets = draw()
    predictions = np.maximum(predictions, 0)
    order = np.random.default_rng(1).permutation(len(COUNTS))
    new_name = np.argsort(order)
    one = group_confusion(hard_confusion(predictions, targets, len(COUNTS)), shot_groups(COUNTS))
    other = group_confusion(
        hard_confusion(new_name[predictions], new_name[targets], len(COUNTS)),
        shot_groups([COUNTS[k] for k in order]),
    )
    np.testing.assert_allclose(one.right, other.right)
    np.testing.assert_allclose(one.wrong, other.wrong)


def test_group_without_images_or_classes_is_nan():
    confusion = np.array([[2, 1], [0, 0]])
    grouped = group_confusion(confusion, {'a': [1, 0], 'b': [0, 1], 'c': [0, 0]})
    assert grouped.images.tolist() == [3, 0, 0]
    assert np.isnan(grouped.right[1:]).all() and np.isnan(grouped.wrong[1:]).all()
    assert grouped.wrong[0] == pytest.approx([0, 1 / 3, 0])


@pytest.mark.parametrize('count', [1, 5, 1000])
def test_top_pairs_against_loops(count):
    predictions, targets = draw()
    expected = reference.pair_rates(predictions, targets, len(COUNTS))
    true, predicted, rates = top_error_pairs(
        hard_confusion(predictions, targets, len(COUNTS)), count
    )
    assert len(rates) == min(count, len(expected))
    assert rates == pytest.approx(sorted(expected.values(), reverse=True)[:count])
    pairs = list(zip(true.tolist(), predicted.tolist(), strict=True))
    assert [expected[pair] for pair in pairs] == pytest.approx(rates)
    assert len(set(pairs)) == len(pairs)


def test_no_error_and_no_image():
    for confusion in (np.diag([3, 2]), np.zeros((2, 2), np.int64), np.array([[7]])):
        assert [len(part) for part in top_error_pairs(confusion, 3)] == [0, 0, 0]
    assert hard_confusion(np.zeros(0, int), np.zeros(0, int), 2).tolist() == [[0, 0], [0, 0]]


def test_bad_input_is_named():
    square = np.eye(2, dtype=np.int64)
    with pytest.raises(ValueError, match=r'exactly one group.*1'):
        group_confusion(square, {'a': [1, 0]})
    with pytest.raises(ValueError, match=r'exactly one group.*0'):
        group_confusion(square, {'a': [1, 0], 'b': [1, 1]})
    with pytest.raises(ValueError, match='groups: expected masks'):
        group_confusion(square, {'a': [1, 1, 1]})
    with pytest.raises(ValueError, match='exactly one group'):
        group_confusion(square, {})
    with pytest.raises(ValueError, match='confusion: expected shape'):
        error_rates(np.zeros((2, 3), np.int64))
    with pytest.raises(ValueError, match='count'):
        top_error_pairs(square, 0)
    with pytest.raises(ValueError, match='targets'):
        hard_confusion([0], [2], 2)
