"""Per-class figures against loops, golden numbers and the laws that they obey."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from mmlt.functional.counts import shot_groups
from mmlt.functional.metrics.figures import (
    geometric_mean,
    group_accuracies,
    harmonic_mean,
    long_tail_figures,
    macro_f1,
    topk_accuracy,
    worst_class,
    worst_class_ratio,
)
from mmlt.functional.metrics.tallies import count_predictions, most_confused_with
from tests.references import accuracy as reference

GOLDEN = Path(__file__).parents[1] / 'golden' / 'shot_acc.npz'


def draw(num_images=300, num_classes=12, seed=0):
    """Labels and correlated predictions; the last two classes have no test image."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, num_classes - 2, num_images)
    right = rng.random(num_images) < 0.6
    predictions = np.where(right, targets, rng.integers(0, num_classes, num_images))
    return predictions, targets, num_classes


def with_nan(values):
    return np.array([np.nan if value is None else value for value in values])


@pytest.mark.parametrize('seed', range(3))
def test_every_figure_agrees_with_a_loop(seed):
    predictions, targets, num_classes = draw(seed=seed)
    expected = reference.per_class(predictions, targets, num_classes)
    accuracy = count_predictions(predictions, targets, num_classes).accuracy
    np.testing.assert_allclose(accuracy, with_nan(expected))
    tallies = count_predictions(predictions, targets, num_classes)
    assert macro_f1(tallies) == pytest.approx(reference.macro_f1(predictions, targets, num_classes))
    assert harmonic_mean(accuracy) == pytest.approx(reference.harmonic(expected))
    assert geometric_mean(accuracy) == pytest.approx(reference.geometric(expected))
    np.testing.assert_array_equal(
        most_confused_with(predictions, targets, num_classes),
        reference.most_confused(predictions, targets, num_classes),
    )
    index, lowest = worst_class(accuracy)
    assert lowest == min(value for value in expected if value is not None)
    assert expected[index] == lowest


@pytest.mark.parametrize('k', [1, 2, 5])
def test_topk_agrees_with_sorting(k):
    rng = np.random.default_rng(k)
    scores, targets = rng.random((40, 7)), rng.integers(0, 7, 40)
    ranked = np.argsort(-scores, axis=1)
    assert topk_accuracy(ranked, targets, k) == pytest.approx(reference.topk(scores, targets, k))


@pytest.mark.parametrize('case', ['case00', 'case01'])
def test_shot_accuracy_is_the_published_one(case):
    golden = np.load(GOLDEN)
    counts, labels, predictions = (
        golden[f'{case}_{name}'] for name in ('train_counts', 'labels', 'preds')
    )
    accuracy = count_predictions(predictions, labels, len(counts)).accuracy
    np.testing.assert_allclose(accuracy, golden[f'{case}_per_class'], rtol=1e-12)
    groups = shot_groups(counts)
    figures = group_accuracies(accuracy, groups)
    for name in ('many', 'medium', 'few'):
        if groups[name].any():
            assert figures[name] == pytest.approx(float(golden[f'{case}_{name}']), rel=1e-12)
        else:
            assert name not in figures


def test_group_accuracy_is_a_mean_over_classes_not_images():
    accuracy = count_predictions([0, 0, 0, 0], [0, 0, 0, 1], 2).accuracy
    assert group_accuracies(accuracy, {'all': [True, True]}) == {'all': 0.5}


def test_permuting_images_changes_nothing_and_permuting_classes_permutes():
    predictions, targets, num_classes = draw()
    rng = np.random.default_rng(1)
    images, classes = rng.permutation(len(targets)), rng.permutation(num_classes)
    accuracy = count_predictions(predictions, targets, num_classes).accuracy
    np.testing.assert_array_equal(
        count_predictions(predictions[images], targets[images], num_classes).accuracy, accuracy
    )
    np.testing.assert_array_equal(
        count_predictions(classes[predictions], classes[targets], num_classes).accuracy[classes],
        accuracy,
    )


def test_means_are_ordered_and_vanish_with_a_lost_class():
    accuracy = np.array([0.9, 0.5, np.nan, 0.1])
    mean = np.nanmean(accuracy)
    assert harmonic_mean(accuracy) < geometric_mean(accuracy) < mean
    lost = np.array([0.9, 0.0])
    assert harmonic_mean(lost) == geometric_mean(lost) == 0
    assert 0 < harmonic_mean(lost, floor=1e-3) < geometric_mean(lost, floor=1e-3)


def test_no_prediction_is_wrong_and_in_no_precision():
    tallies = count_predictions([-1, 0], [0, 0], 2)
    np.testing.assert_array_equal(tallies.correct, [1, 0])
    np.testing.assert_array_equal(tallies.predicted, [1, 0])
    assert most_confused_with([-1, 0], [0, 0], 2).tolist() == [-1, -1]


def test_ties_in_confusion_go_to_the_lower_class():
    assert most_confused_with([2, 1], [0, 0], 3).tolist() == [1, -1, -1]


def test_worst_class_ratio_uses_the_same_class_in_training():
    index, ratio = worst_class_ratio(np.array([0.9, 0.3, np.nan]), np.array([0.1, 0.6, 0.2]))
    assert (index, ratio) == (1, pytest.approx(0.5))
    assert worst_class_ratio(np.array([0.0, 0.0, 0.5]), np.array([0.0, 0.8, 1.0])) == (1, 0.0)
    assert np.isnan(worst_class_ratio(np.array([0.9, 0.0]), np.array([1.0, 0.0]))[1])


def test_one_image_and_one_class():
    figures = long_tail_figures([[0]], [0], 1)
    assert figures == {
        'top1': 1,
        'worst_class': 1,
        'harmonic_mean': 1,
        'geometric_mean': 1,
        'macro_f1': 1,
    }


def test_arguments_are_not_changed():
    predictions, targets, num_classes = draw()
    before = predictions.copy(), targets.copy()
    count_predictions(predictions, targets, num_classes)
    most_confused_with(predictions, targets, num_classes)
    np.testing.assert_array_equal(predictions, before[0])
    np.testing.assert_array_equal(targets, before[1])


@pytest.mark.parametrize(
    ('predictions', 'targets', 'error', 'message'),
    [
        ([0, 1], [0], ValueError, 'one shape'),
        ([0], [3], ValueError, r'targets: expected classes in \[0, 3\)'),
        ([0], [-1], ValueError, 'targets: expected'),
        ([3], [0], ValueError, 'predictions: expected'),
        ([0.5], [0], TypeError, 'predictions: expected integers'),
    ],
)
def test_bad_labels_are_named(predictions, targets, error, message):
    with pytest.raises(error, match=message):
        count_predictions(predictions, targets, 3)


def test_other_bad_input_is_named():
    with pytest.raises(ValueError, match='k=3'):
        topk_accuracy([[0, 1]], [0], 3)
    with pytest.raises(ValueError, match=r"groups\['few'\]"):
        group_accuracies(np.array([1.0]), {'few': [True, False]})
    with pytest.raises(ValueError, match='a class with test images'):
        worst_class(np.array([np.nan]))
    with pytest.raises(ValueError, match='train_per_class'):
        worst_class_ratio(np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match='at least one image'):
        long_tail_figures(np.zeros((0, 1), int), [], 2)


def test_inaturalist_takes_milliseconds():
    rng = np.random.default_rng(0)
    num_classes, num_images = 8142, 24426
    ranked = rng.integers(0, num_classes, (num_images, 5))
    targets = np.arange(num_images) % num_classes
    groups = shot_groups(rng.integers(2, 1000, num_classes))
    durations = []
    for _ in range(5):
        start = time.perf_counter()
        long_tail_figures(ranked, targets, num_classes, groups)
        durations.append(time.perf_counter() - start)
    assert min(durations) < 0.1
