"""Class statistics against golden numbers and plain formulas."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmlt.functional.counts import (
    class_prior,
    count_labels,
    effective_number_weights,
    frequency_weights,
    shot_groups,
    validate_class_counts,
)

GOLDEN = np.load(Path(__file__).parents[1] / 'golden' / 'car.npz')


@pytest.mark.parametrize('r0', ['0.0', '0.2', '0.5'])
@pytest.mark.parametrize('normalize', [0, 1])
def test_frequency_weights_match_the_released_code(r0, normalize):
    weights = frequency_weights(GOLDEN['weights_C5_counts'], float(r0), normalize=bool(normalize))
    expected = GOLDEN[f'weights_C5_r0_{r0}_norm{normalize}']
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-9)


def test_frequency_weights_are_largest_for_the_rarest_class():
    weights = frequency_weights([100, 10, 1], r0=0.01)
    assert weights[0] < weights[1] < weights[2]


def test_an_empty_class_needs_smoothing():
    assert torch.isfinite(frequency_weights([3, 0], r0=0.1)).all()
    with pytest.raises(ValueError, match='class 1'):
        frequency_weights([3, 0], r0=0.0)
    with pytest.raises(ValueError, match='r0'):
        frequency_weights([3, 1], r0=-0.1)


def test_shot_groups_partition_the_classes_at_the_thresholds():
    groups = shot_groups([101, 100, 20, 19, 0])
    assert groups['many'].tolist() == [True, False, False, False, False]
    assert groups['medium'].tolist() == [False, True, True, False, False]
    assert groups['few'].tolist() == [False, False, False, True, True]


def test_overlapping_thresholds_are_refused():
    with pytest.raises(ValueError, match='few_threshold'):
        shot_groups([1, 2], many_threshold=5, few_threshold=50)


def test_count_labels_counts_absent_classes_as_zero():
    assert count_labels(np.array([1, 1, 3]), 5) == [0, 2, 0, 1, 0]
    with pytest.raises(ValueError, match=r'\[0, 3\)'):
        count_labels([3], 3)


def test_class_prior_is_unchanged_by_scaling_all_counts():
    torch.testing.assert_close(class_prior([6, 3, 1]), class_prior([60, 30, 10]))


def test_effective_number_interpolates_between_equal_and_inverse_weights():
    counts = torch.tensor([100.0, 10.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(effective_number_weights(counts, 0.0), torch.ones(3).double())
    inverse = 1 / counts
    nearly = effective_number_weights(counts, 1 - 1e-9)
    torch.testing.assert_close(nearly, inverse * 3 / inverse.sum(), rtol=1e-5, atol=0)


def test_effective_number_leaves_empty_classes_out():
    weights = effective_number_weights([10, 0, 10])
    assert weights.tolist() == [1.0, 0.0, 1.0]
    with pytest.raises(ValueError, match='beta'):
        effective_number_weights([1], beta=1.0)


@pytest.mark.parametrize('counts', [[], [[1, 2]], [-1, 2], [0, 0], [float('nan'), 1]])
def test_counts_that_make_no_sense_are_refused(counts):
    with pytest.raises(ValueError, match='class_counts'):
        validate_class_counts(counts)


def test_validation_does_not_change_its_argument():
    counts = torch.tensor([3, 1])
    validate_class_counts(counts).add_(1)
    assert counts.tolist() == [3, 1]


@pytest.mark.parametrize('labels', [[-1, 0], [0, 2], [2, 2]])
def test_labels_out_of_range_are_refused(labels):
    with pytest.raises(ValueError, match=r'labels: expected .*\[0, 2\)'):
        count_labels(labels, 2)


def test_no_class_at_all_is_refused():
    with pytest.raises(ValueError, match='class_counts: expected'):
        validate_class_counts([])


def test_weights_are_those_of_the_paper_by_default():
    expected = [(count / 4 + 0.2) ** -0.5 for count in (3, 1)]
    np.testing.assert_allclose(frequency_weights([3, 1]).numpy(), expected)
