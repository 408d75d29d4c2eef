"""Per-class figures against loops, golden numbers and the laws that they obey."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from mmlt.functional.counts import shot_groups
from mmlt.functional.metrics.figures import long_tail_figures, worst_class_ratio
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
    figures = long_tail_figures(predictions[:, None], targets, num_classes)
    assert figures == pytest.approx(
        {
            'top1': (predictions == targets).mean(),
            'worst_class': min(value for value in expected if value is not None),
            'harmonic_mean': reference.harmonic(expected),
            'geometric_mean': reference.geometric(expected),
            'macro_f1': reference.macro_f1(predictions, targets, num_classes),
        }
    )
    np.testing.assert_array_equal(
        most_confused_with(predictions, targets, num_classes),
        reference.most_confused(predictions, targets, num_classes),
    )


@pytest.mark.parametrize('k', [1, 2, 5])
def test_topk_agrees_with_sorting(k):
    rng = np.random.default_rng(k)
    scores, targets = rng.random((40, 7)), rng.integers(0, 7, 40)
    ranked = np.argsort(-scores, axis=1)
    figures = long_tail_figures(ranked, targets, 7, topk=[k])
    assert figures[f'top{k}'] == pytest.approx(reference.topk(scores, targets, k))
    assert figures['top1'] == pytest.approx(reference.topk(scores, targets, 1))


@pytest.mark.parametrize('case', ['case00', 'case01'])
def test_shot_accuracy_is_the_published_one(case):
    golden = np.load(GOLDEN)
    counts, labels, predictions = (
        golden[f'{case}_{name}'] for name in ('train_counts', 'labels', 'preds')
    )
    accuracy = count_predictions(predictions, labels, len(counts)).accuracy
    np.testing.assert_allclose(accuracy, golden[f'{case}_per_class'], rtol=1e-12)
    groups = shot_groups(counts)
    figures = long_tail_figures(predictions[:, None], labels, len(counts), groups)
    for name in ('many', 'medium', 'few'):
        if groups[name].any():
            assert figures[f'{name}_shot'] == pytest.approx(
                float(golden[f'{case}_{name}']), rel=1e-12
            )
        else:
            assert f'{name}_shot' not in figures


def test_group_accuracy_is_a_mean_over_classes_not_images():
    groups = {'all': [True, True]}
    assert long_tail_figures([[0], [0], [0], [0]], [0, 0, 0, 1], 2, groups)['all_shot'] == 0.5


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
    targets = np.repeat(np.arange(3), 10)
    predictions = np.where(np.arange(30) % 10 < np.repeat([9, 5, 1], 10), targets, 3)
    figures = long_tail_figures(predictions[:, None], targets, 4)
    assert figures['harmonic_mean'] < figures['geometric_mean'] < figures['top1']
    predictions[targets == 2] = 3
    lost = long_tail_figures(predictions[:, None], targets, 4)
    assert lost['harmonic_mean'] == lost['geometric_mean'] == 0
    raised = long_tail_figures(predictions[:, None], targets, 4, floor=1e-3)
    assert 0 < raised['harmonic_mean'] < raised['geometric_mean']


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
        ([0.5], [0], ValueError, 'predictions: expected integers'),
    ],
)
def test_bad_labels_are_named(predictions, targets, error, message):
    with pytest.raises(error, match=message):
        count_predictions(predictions, targets, 3)


def test_other_bad_input_is_named():
    with pytest.raises(ValueError, match=r"groups\['few'\]"):
        long_tail_figures([[0]], [0], 1, {'few': [True, False]})
    with pytest.raises(ValueError, match='a class with test images'):
        worst_class_ratio(np.array([np.nan]), np.array([1.0]))
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
