"""LongTailMetric as an MMPretrain evaluator uses it."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.registry import METRICS
from mmpretrain.structures import DataSample

from mmlt.evaluation.collect import interleave_ranks
from mmlt.evaluation.long_tail_metric import LongTailMetric
from mmlt.functional.counts import shot_groups
from tests.references import accuracy as reference

COUNTS = [500, 200, 90, 60, 30, 15, 4]
NAMES = {
    'top1',
    'top5',
    'many_shot',
    'medium_shot',
    'few_shot',
    'worst_class',
    'harmonic_mean',
    'geometric_mean',
    'macro_f1',
}


def draw(num_images=140, num_classes=7, seed=0):
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, num_classes, num_images)
    logits = rng.normal(size=(num_images, num_classes)) + 2 * np.eye(num_classes)[targets]
    return torch.from_numpy(logits).float().softmax(dim=1), torch.from_numpy(targets)


def samples(scores, targets):
    return [
        DataSample().set_gt_label(int(target)).set_pred_score(score)
        for score, target in zip(scores, targets, strict=True)
    ]


def evaluate(metric, scores, targets, batch_size=32, counts=COUNTS):
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = {'classes': [f'class {k}' for k in range(scores.shape[1])]}
    if counts is not None:
        metric.set_class_counts(counts)
    batch = samples(scores, targets)
    for start in range(0, len(batch), batch_size):
        evaluator.process(batch[start : start + batch_size])
    return evaluator.evaluate(len(batch))


@pytest.fixture
def warnings(monkeypatch):
    heard = []
    monkeypatch.setattr(
        'mmlt.evaluation.long_tail_metric.print_log',
        lambda message, **kwargs: heard.append(message),
    )
    return heard


def test_all_figures_agree_with_loops():
    scores, targets = draw()
    figures = evaluate(METRICS.build(dict(type='LongTailMetric')), scores, targets)
    assert set(figures) == {f'long_tail/{name}' for name in NAMES}
    predictions, labels = scores.argmax(1).tolist(), targets.tolist()
    accuracy = reference.per_class(predictions, labels, 7)
    groups = shot_groups(COUNTS)
    expected = {
        'top1': reference.topk(scores, labels, 1),
        'top5': reference.topk(scores, labels, 5),
        **{f'{name}_shot': reference.group_mean(accuracy, groups[name]) for name in groups},
        'worst_class': min(accuracy),
        'harmonic_mean': reference.harmonic(accuracy),
        'geometric_mean': reference.geometric(accuracy),
        'macro_f1': reference.macro_f1(predictions, labels, 7),
    }
    assert figures == pytest.approx(
        {f'long_tail/{name}': 100 * value for name, value in expected.items()}
    )


def test_top1_is_that_of_mmpretrain():
    scores, targets = draw()
    evaluator = Evaluator([LongTailMetric(), METRICS.build(dict(type='Accuracy', topk=(1, 5)))])
    evaluator.process(samples(scores, targets))
    figures = evaluator.evaluate(len(targets))
    for name in ('top1', 'top5'):
        assert figures[f'long_tail/{name}'] == pytest.approx(figures[f'accuracy/{name}'])


def test_batches_and_order_do_not_matter():
    scores, targets = draw()
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(0))
    expected = evaluate(LongTailMetric(), scores, targets)
    assert evaluate(LongTailMetric(), scores[order], targets[order], 7) == pytest.approx(expected)


def test_only_label_and_best_predictions_are_kept():
    scores, targets = draw()
    metric = LongTailMetric(topk=(1, 3))
    metric.process(None, [sample.to_dict() for sample in samples(scores, targets)])
    assert [part.shape for part in metric.results] == [(140, 4)]
    metric.evaluate(140)
    assert metric.results == []


def test_without_counts_groups_are_left_out_with_advice(warnings):
    metric = LongTailMetric()
    for _ in range(2):
        figures = evaluate(metric, *draw(), counts=None)
        assert set(figures) == {f'long_tail/{name}' for name in NAMES if 'shot' not in name}
    assert len(warnings) == 1, 'said once, not at every epoch'
    assert 'LongTailHook' in warnings[0]


def test_class_without_test_images_is_left_out_and_said(warnings):
    scores, targets = draw()
    kept = targets != 6
    figures = evaluate(LongTailMetric(few_threshold=10), scores[kept], targets[kept])
    assert 'long_tail/few_shot' not in figures, 'its only class has no test image'
    accuracy = reference.per_class(scores[kept].argmax(1).tolist(), targets[kept].tolist(), 7)
    assert figures['long_tail/worst_class'] == pytest.approx(
        100 * min(value for value in accuracy if value is not None)
    )
    assert any(
        '1 of 7 classes have no test images' in text and text.endswith(': 6') for text in warnings
    )


def test_fewer_than_five_classes(warnings):
    figures = evaluate(LongTailMetric(), *draw(num_classes=4), counts=COUNTS[:4])
    assert 'long_tail/top5' not in figures
    assert any('top5 left out' in text for text in warnings)


def test_post_hoc_adjustment_equals_adjusting_the_logits():
    rng = np.random.default_rng(3)
    targets = torch.from_numpy(rng.integers(0, 7, 200))
    logits = torch.from_numpy(rng.normal(size=(200, 7)) * 3).float()
    prior = torch.tensor(COUNTS, dtype=torch.float32) / sum(COUNTS)
    adjusted = (logits - 0.8 * prior.log()).softmax(dim=1)
    expected = evaluate(LongTailMetric(), adjusted, targets)
    figures = evaluate(LongTailMetric(post_hoc_tau=0.8), logits.softmax(dim=1), targets)
    assert figures == pytest.approx(expected)
    assert figures != evaluate(LongTailMetric(), logits.softmax(dim=1), targets)


def test_two_metrics_side_by_side():
    scores, targets = draw()
    metrics = [LongTailMetric(), LongTailMetric(post_hoc_tau=1.0, prefix='post_hoc')]
    for metric in metrics:
        metric.set_class_counts(COUNTS)
    evaluator = Evaluator(metrics)
    evaluator.process(samples(scores, targets))
    figures = evaluator.evaluate(len(targets))
    assert {f'{prefix}/{name}' for prefix in ('long_tail', 'post_hoc') for name in NAMES} == set(
        figures
    )


def test_labels_without_scores_give_no_top5(warnings):
    metric = LongTailMetric()
    metric.set_class_counts([3, 2, 1])
    metric.process(
        None, [{'gt_label': torch.tensor([k]), 'pred_label': torch.tensor([0])} for k in range(3)]
    )
    figures = metric.evaluate(3)
    assert figures['long_tail/top1'] == pytest.approx(100 / 3)
    assert 'long_tail/top5' not in figures
    assert any('labels without scores' in text for text in warnings)


def test_scores_that_are_not_numbers_count_as_wrong(warnings):
    scores, targets = draw()
    scores[targets == 2] = float('nan')
    figures = evaluate(LongTailMetric(), scores, targets)
    assert figures['long_tail/worst_class'] == 0
    assert any('not numbers' in text for text in warnings)


def test_csv_has_one_row_per_class(tmp_path):
    path = tmp_path / 'deep' / 'per_class.csv'
    scores, targets = draw()
    kept = targets != 6
    evaluate(LongTailMetric(csv_file=path), scores[kept], targets[kept])
    evaluate(LongTailMetric(csv_file=path), scores[kept], targets[kept])
    with path.open(newline='') as file:
        rows = list(csv.DictReader(file))
    predictions, labels = scores[kept].argmax(1).tolist(), targets[kept].tolist()
    accuracy = reference.per_class(predictions, labels, 7)
    confused = reference.most_confused(predictions, labels, 7)
    assert [row['class_id'] for row in rows] == list('0123456')
    assert [row['train_count'] for row in rows] == list(map(str, COUNTS))
    assert [row['shot'] for row in rows] == ['many'] * 2 + ['medium'] * 3 + ['few'] * 2
    assert [row['name'] for row in rows] == [f'class {k}' for k in range(7)]
    for k, (row, value, other) in enumerate(zip(rows, accuracy, confused, strict=True)):
        assert row['test_images'] == str(labels.count(k))
        assert row['most_confused_with'] == (str(other) if other >= 0 else '')
        assert row['accuracy'] == ('' if value is None else f'{100 * value:.4f}')
        assert row['most_confused_name'] == (f'class {other}' if other >= 0 else '')
    assert rows[6]['accuracy'] == rows[6]['f1'] == ''
    assert not list(path.parent.glob('*.partial'))


def test_class_counts_are_set_twice_without_harm():
    metric = LongTailMetric()
    metric.set_class_counts(COUNTS)
    metric.set_class_counts(list(COUNTS))
    assert metric.class_counts == COUNTS


@pytest.mark.parametrize('lengths', [(3, 3), (4, 3), (3, 0), (3, 3, 2)])
def test_ranks_are_interleaved(lengths):
    size = sum(lengths)
    world_size = len(lengths)
    if lengths == (3, 0):
        parts = [np.arange(3)[:, None], np.zeros((0, 0))]
        expected = [0, 1, 2]
    else:
        parts = [
            np.arange(rank, size, world_size)[:length, None] for rank, length in enumerate(lengths)
        ]
        expected = list(range(size))
    assert interleave_ranks(parts, size).ravel().tolist() == expected
    assert interleave_ranks(parts, 2).ravel().tolist() == [0, 1]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(topk=()), 'topk'),
        (dict(topk=(0,)), 'topk'),
        (dict(topk=1.0), 'topk'),
        (dict(topk='15'), 'topk'),
        (dict(topk=True), 'topk'),
        (dict(many_threshold=float('inf')), 'many_threshold'),
        (dict(few_threshold=-1), 'few_threshold'),
        (dict(post_hoc_tau='1'), 'post_hoc_tau'),
        (dict(csv_file=3), 'csv_file'),
        (dict(prefix=''), 'prefix'),
        (dict(post_hoc_tau=float('nan')), 'post_hoc_tau'),
        (dict(floor=1.0), 'floor'),
        (dict(many_threshold=10, few_threshold=20), 'few_threshold'),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=f'{message}: expected'):
        LongTailMetric(**options)


def test_topk_is_one_integer_or_several():
    scores, targets = draw()
    expected = evaluate(LongTailMetric(topk=(3,)), scores, targets)
    assert 'long_tail/top3' in expected and 'long_tail/top5' not in expected
    assert evaluate(LongTailMetric(topk=3), scores, targets) == expected


def test_thresholds_move_the_groups():
    scores, targets = draw()
    metric = LongTailMetric(many_threshold=70, few_threshold=71)
    figures = evaluate(metric, scores, targets)
    assert 'long_tail/medium_shot' not in figures
    accuracy = reference.per_class(scores.argmax(1).tolist(), targets.tolist(), 7)
    assert figures['long_tail/many_shot'] == pytest.approx(100 * sum(accuracy[:3]) / 3)
    assert figures['long_tail/few_shot'] == pytest.approx(100 * sum(accuracy[3:]) / 4)


def test_bad_batches_are_named():
    score = torch.full((7,), 1 / 7)
    with pytest.raises(ValueError, match=r'class counts: expected 7, .* got 6'):
        evaluate(LongTailMetric(), *draw(), counts=COUNTS[:6])
    with pytest.raises(ValueError, match='gt_label'):
        LongTailMetric().process(None, [{'pred_score': score}])
    with pytest.raises(ValueError, match='one label per image'):
        LongTailMetric().process(None, [{'pred_score': score, 'gt_label': torch.tensor([0, 1])}])
    with pytest.raises(ValueError, match=r'post_hoc_tau: .*LongTailHook'):
        evaluate(LongTailMetric(post_hoc_tau=1.0), *draw(), counts=None)
    with pytest.raises(ValueError, match='probabilities'):
        evaluate(LongTailMetric(post_hoc_tau=1.0), -draw()[0], draw()[1])
    with pytest.raises(ValueError, match='pred_score'):
        LongTailMetric(post_hoc_tau=1.0).process(
            None, [{'gt_label': torch.tensor([0]), 'pred_label': torch.tensor([0])}]
        )
    with pytest.raises(ValueError, match='no image'):
        LongTailMetric().evaluate(0)
    with pytest.raises(ValueError, match='an image in some class'):
        LongTailMetric().set_class_counts([0, 0])
    with pytest.raises(ValueError, match='targets: expected classes in'):
        evaluate(LongTailMetric(), draw()[0], draw()[1] + 1)
