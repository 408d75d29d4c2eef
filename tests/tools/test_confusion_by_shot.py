"""The confusion tool on checkpoints of digits, and its tables on matrices made by hand."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmpretrain.registry import DATASETS

from tests.digits_runner import CONFIGS, digits_runner
from tests.tools.load_tool import TOOLS, load_tool

sys.path.append(str(TOOLS / 'analysis_tools'))
tool = load_tool('analysis_tools/confusion_by_shot.py')

BEFORE = np.array([[9, 1, 0], [4, 6, 0], [5, 3, 2]])
AFTER = np.array([[6, 0, 4], [1, 9, 0], [1, 0, 9]])
GROUPS = {'many': np.array([True, False, False]), 'few': np.array([False, True, True])}


def evaluation(title, confusion):
    return tool.Evaluation(
        title, f'{title}.pth', confusion, 0, [200, 10, 10], ['car', 'cat', 'dog'], (100, 20)
    )


class TestReport:
    def test_tables_of_two_models(self):
        text, known = tool.report(
            [evaluation('before', BEFORE), evaluation('after', AFTER)], GROUPS, 3
        )
        assert '| few | 20 | 40.0 | 45.0 | 15.0 |' in text
        assert '| few | 20 | 90.0 | 10.0 | 0.0 |' in text
        assert '| dog (few) | car (many) | 50.0 | 10.0 |' in text
        assert '| mean of 3 |  | 40.00 | 6.67 |' in text
        assert text.endswith(
            "-33.33 points. Mean of each model's own top 3: before 40.00, after 20.00."
        )
        assert known['models']['before']['wrong']['few']['many'] == 45
        assert [2, 2, 9] in known['models']['after']['confusion']
        assert known['pairs']['true'] == [2, 1, 2] and known['pairs']['after'] == [10, 10, 0]
        json.dumps(known, allow_nan=False)

    def test_own_mean_counts_places_without_an_error(self):
        nearly = np.array([[10, 0, 0], [0, 10, 0], [3, 0, 7]])
        _, known = tool.report(
            [evaluation('before', BEFORE), evaluation('after', nearly)], GROUPS, 3
        )
        assert known['models']['after']['own_top_mean'] == pytest.approx(10)

    def test_model_without_an_error_and_group_without_classes(self):
        perfect = evaluation('before', np.diag([4, 4, 4]))
        text, known = tool.report([perfect], {**GROUPS, 'medium': np.zeros(3, bool)}, 3)
        assert '| medium | 0 |  |  |  |  |' in text and '| mean of 0 |  | 0.00 |' in text
        json.dumps(known, allow_nan=False)

    def test_images_without_a_prediction_are_said(self):
        lost = replace(evaluation('before', BEFORE), unpredicted=7)
        assert '7 images without' in tool.report([lost], GROUPS, 1)[0]


def test_metric_has_the_settings_of_the_config():
    metric = dict(type='mmpretrain.LongTailMetric', few_threshold=7, csv_file='a.csv', prefix='x')
    for evaluator in (metric, [dict(type='Accuracy'), metric]):
        assert tool.label_keeping_evaluator(evaluator) == dict(
            type='KeptLabelsMetric', few_threshold=7
        )
    assert metric['csv_file'] == 'a.csv'
    assert tool.label_keeping_evaluator(None) == dict(type='KeptLabelsMetric')


def test_models_that_do_not_belong_together():
    before = evaluation('before', BEFORE)
    with pytest.raises(ValueError, match=r'after\.pth: expected the classes'):
        tool.check_comparable(before, replace(evaluation('after', AFTER), class_counts=[9, 9, 9]))
    with pytest.raises(ValueError, match='one shape'):
        tool.compare_pairs({'before': BEFORE, 'after': AFTER[:2, :2]}, 1)
    with pytest.raises(ValueError, match='one shape'):
        tool.compare_pairs({}, 1)


@pytest.mark.parametrize('argv', [['a.py'], ['a.py', 'b', 'c.py'], ['a.py', 'b', '--top', '0']])
def test_wrong_command_line(argv, capsys):
    with pytest.raises(SystemExit):
        tool.parse_args(argv)
    assert 'expected' in capsys.readouterr().err


@pytest.mark.slow
def test_checkpoints_of_digits(tmp_path, capsys):
    saved, expected = [], []
    for leaf in ('resnet8_ce', 'resnet8_cpmix'):
        runner = digits_runner(tmp_path / leaf, leaf, max_epochs=2)
        model = runner.train().eval()
        dataset = DATASETS.build(runner.cfg.test_dataloader.dataset)
        with torch.no_grad():
            outputs = model.test_step(pseudo_collate([dataset[i] for i in range(len(dataset))]))
        confusion = np.zeros((10, 10), int)
        for one in outputs:
            confusion[int(one.gt_label), int(one.pred_label)] += 1
        expected.append(confusion)
        saved += [str(CONFIGS / 'digits_lt' / f'{leaf}.py'), str(tmp_path / leaf / 'epoch_2.pth')]
    out = tmp_path / 'out' / 'confusion.json'
    known = tool.main(
        [
            *saved,
            '--top',
            '4',
            '--thresholds',
            '60',
            '10',
            '--work-dir',
            str(tmp_path / 'logs'),
            '--out',
            str(out),
        ]
    )
    assert json.loads(out.read_text()) == known
    for title, confusion in zip(('before', 'after'), expected, strict=True):
        got = np.zeros_like(confusion)
        for true, predicted, images in known['models'][title]['confusion']:
            got[true, predicted] = images
        np.testing.assert_array_equal(got, confusion)
        rates = [
            100 * confusion[j, i] / 60
            for j, i in zip(known['pairs']['true'], known['pairs']['predicted'], strict=True)
        ]
        assert known['pairs'][title] == pytest.approx(rates)
    assert len(set(known['shots'])) == 3
    assert '| mean of 4 |' in capsys.readouterr().out
