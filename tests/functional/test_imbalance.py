"""Class counts and kept images: against the released protocol's numbers, a slow reference, laws."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from mmlt.functional.imbalance import exponential_class_counts, long_tail_indices, step_class_counts
from tests.references.imbalance import reference_exponential_counts, reference_indices

GOLDEN = Path(__file__).parents[1] / 'golden' / 'imbalance_counts.npz'
PROFILES = {'exp': exponential_class_counts, 'step': step_class_counts}


@pytest.mark.parametrize('kind', ['exp', 'step'])
@pytest.mark.parametrize('ratio', [1, 10, 20, 50, 100, 200])
def test_counts_equal_the_released_ones(kind: str, ratio: int) -> None:
    with np.load(GOLDEN) as golden:
        assert PROFILES[kind](5000, 10, ratio) == golden[f'{kind}_C10_IF{ratio}'].tolist()


def test_counts_of_cifar100_equal_the_released_ones() -> None:
    with np.load(GOLDEN) as golden:
        assert exponential_class_counts(500, 100, 100) == golden['exp_C100_IF100'].tolist()


@pytest.mark.parametrize(('ratio', 'total'), [(10, 19573), (50, 12608), (100, 10847)])
def test_totals_of_cifar100(ratio: int, total: int) -> None:
    assert sum(exponential_class_counts(500, 100, ratio)) == total


def test_kept_indices_equal_the_released_ones_in_order() -> None:
    with np.load(GOLDEN) as golden:
        kept = long_tail_indices(golden['subset_targets'], golden['subset_counts'].tolist())
        np.testing.assert_array_equal(kept, golden['subset_indices_seed0'])
    assert kept.dtype == np.int64


@pytest.mark.parametrize(('max_count', 'num_classes'), [(5000, 10), (500, 100), (110, 10)])
@pytest.mark.parametrize('ratio', [10, 20, 50, 100, 200, 256, 3.7])
def test_rounding_slack_changes_no_benchmark(
    max_count: int, num_classes: int, ratio: float
) -> None:
    expected = reference_exponential_counts(max_count, num_classes, ratio)
    assert exponential_class_counts(max_count, num_classes, ratio) == expected


def test_last_class_is_not_lost_to_rounding() -> None:
    assert reference_exponential_counts(49, 10, 49)[-1] == 0
    assert exponential_class_counts(49, 10, 49)[-1] == 1
    assert step_class_counts(49, 10, 49)[-1] == 1


@pytest.mark.parametrize('kind', ['exp', 'step'])
@pytest.mark.parametrize('num_classes', [1, 2, 7, 1000])
def test_laws_of_profiles(kind: str, num_classes: int) -> None:
    counts = PROFILES[kind](1280, num_classes, 256)
    assert len(counts) == num_classes
    assert all(type(count) is int for count in counts)
    assert counts[0] == 1280
    assert counts == sorted(counts, reverse=True)
    if num_classes > 1:
        assert counts[0] / counts[-1] == 256


def test_step_with_an_odd_number_of_classes_keeps_the_middle_one() -> None:
    assert step_class_counts(10, 5, 10) == [10, 10, 10, 1, 1]


@pytest.mark.parametrize('seed', [0, 10])
def test_indices_equal_the_slow_reference(seed: int) -> None:
    labels = np.random.default_rng(seed).choice([0, 1, 3, 4], size=200).tolist()
    counts = [9, 4, 0, 0, 1]
    expected = reference_indices(labels, counts, seed)
    assert long_tail_indices(labels, counts, seed).tolist() == expected


def test_indices_leave_the_global_stream_and_the_labels_alone() -> None:
    labels = np.arange(20) % 4
    before, state = labels.copy(), np.random.get_state()[1].copy()
    long_tail_indices(labels, [5, 3, 2, 1])
    np.testing.assert_array_equal(labels, before)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_smaller_ratios_hold_the_larger_ones() -> None:
    labels = np.repeat(np.arange(10), 50)
    wide = set(long_tail_indices(labels, exponential_class_counts(50, 10, 5)).tolist())
    narrow = set(long_tail_indices(labels, exponential_class_counts(50, 10, 50)).tolist())
    assert narrow < wide
    assert len(wide) == sum(exponential_class_counts(50, 10, 5))


def test_one_class_one_image_and_no_images() -> None:
    assert long_tail_indices([0], [1]).tolist() == [0]
    assert long_tail_indices([], [0, 0]).tolist() == []
    assert long_tail_indices([1, 1], [0, 0]).tolist() == []


def test_inaturalist_takes_well_under_a_second() -> None:
    labels = np.random.default_rng(0).permutation(np.arange(437_513) % 8142)
    start = time.process_time()
    kept = long_tail_indices(labels, [2] * 8142)
    assert time.process_time() - start < 2
    np.testing.assert_array_equal(labels[kept], np.repeat(np.arange(8142), 2))


@pytest.mark.parametrize('ratio', [0.01, 0, -1, float('nan'), float('inf')])
def test_bad_ratio(ratio: float) -> None:
    with pytest.raises(ValueError, match=r'imbalance_ratio: expected a number in \[1, inf\)'):
        exponential_class_counts(10, 10, ratio)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r'max_count: expected an integer in \[1, inf\)'):
        step_class_counts(0, 10, 10)
    with pytest.raises(ValueError, match='num_classes'):
        exponential_class_counts(10, 0, 10)
    with pytest.raises(ValueError, match='max_count: expected an integer'):
        exponential_class_counts(10.5, 10, 10)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='at most 1 images of class 1, got 3'):
        long_tail_indices([0, 0, 1], [1, 3])
    with pytest.raises(ValueError, match=r'labels: expected integers in \[0, 2\)'):
        long_tail_indices([0, 2], [1, 1])
    with pytest.raises(ValueError, match='labels: expected'):
        long_tail_indices([0.5, 1.0], [1, 1])  # type: ignore[list-item]
    with pytest.raises(ValueError, match='class_counts: expected at least 0'):
        long_tail_indices([0], [-1])
    with pytest.raises(ValueError, match='class_counts: expected integers'):
        long_tail_indices([0], [0.5])  # type: ignore[list-item]
