"""Tables and pictures from logs, and the worst-class ratio of a checkpoint."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS

from mmlt.evaluation.per_class_table import per_class_rows, write_per_class_csv
from mmlt.functional.metrics.tallies import count_predictions, most_confused_with
from tests.references import accuracy as reference
from tests.tools.load_tool import TOOLS, load_tool

per_class_report = load_tool('analysis_tools/per_class_report.py')
worst_class_ratio = load_tool('analysis_tools/worst_class_ratio.py')


def write_table(path, seed, counts):
    rng = np.random.default_rng(seed)
    num_classes = len(counts)
    targets = np.repeat(np.arange(num_classes - 1), 20)
    predictions = np.where(
        rng.random(len(targets)) < 0.7, targets, rng.integers(0, num_classes, len(targets))
    )
    write_per_class_csv(
        path,
        per_class_rows(
            count_predictions(predictions, targets, num_classes),
            most_confused_with(predictions, targets, num_classes),
            counts,
        ),
    )
    return path


class TestPerClassReport:
    @pytest.mark.parametrize('num_classes', [5, 130])
    def test_picture_of_several_methods_and_seeds(self, tmp_path, num_classes):
        counts = list(range(num_classes, 0, -1))
        tables = [write_table(tmp_path / f'{seed}.csv', seed, counts) for seed in range(3)]
        out = tmp_path / 'deep' / 'picture.png'
        per_class_report.plot_per_class({'CE': tables[:2], 'LA': tables[2:]}, out)
        assert out.read_bytes().startswith(b'\x89PNG')

    def test_names_with_dollars_are_drawn_as_text(self, tmp_path):
        name = r'$\nonsense$'
        tallies = count_predictions([0, 1], [0, 1], 2)
        rows = per_class_rows(tallies, np.array([-1, -1]), [9, 5], names=[name, 'b'])
        write_per_class_csv(tmp_path / 'a.csv', rows)
        per_class_report.plot_per_class({name: [tmp_path / 'a.csv']}, tmp_path / 'a.svg')
        assert (tmp_path / 'a.svg').is_file()

    def test_tables_keep_seeds_apart_and_classes_without_test_images(self, tmp_path):
        tables = [write_table(tmp_path / f'{seed}.csv', seed, [9, 5, 3]) for seed in range(2)]
        rows, accuracies = per_class_report.load_tables(tables)
        assert [row.train_count for row in rows] == [9, 5, 3]
        assert accuracies.shape == (2, 3) and np.isnan(accuracies[:, 2]).all()

    @pytest.mark.parametrize('width', [1, 3, 4])
    def test_running_mean_is_a_mean_of_neighbours(self, width):
        values = np.array([[1.0, 2.0, np.nan, 4.0, 9.0]])
        before, after = width // 2, (width - 1) // 2
        expected = [
            np.nanmean(values[0, max(0, i - before) : i + after + 1]) if width > 1 else values[0, i]
            for i in range(5)
        ]
        np.testing.assert_allclose(per_class_report.running_mean(values, width)[0], expected)

    def test_command(self, tmp_path, capsys):
        tables = [write_table(tmp_path / f'{seed}.csv', seed, [9, 5, 3]) for seed in range(2)]
        out = tmp_path / 'a.svg'
        per_class_report.main([f'CE={tables[0]},{tables[1]}', str(tables[1]), '--out', str(out)])
        assert out.is_file() and str(out) in capsys.readouterr().out

    def test_tables_that_do_not_belong_together(self, tmp_path):
        one = write_table(tmp_path / 'one.csv', 0, [9, 5, 3])
        other = write_table(tmp_path / 'other.csv', 0, [9, 5, 2])
        unknown = tmp_path / 'unknown.csv'
        write_per_class_csv(unknown, per_class_rows(count_predictions([0], [0], 1), np.array([-1])))
        with pytest.raises(ValueError, match='other classes or training counts'):
            per_class_report.plot_per_class({'CE': [one, other]}, tmp_path / 'a.png')
        with pytest.raises(ValueError, match='different class counts'):
            per_class_report.plot_per_class({'CE': [one], 'LA': [other]}, tmp_path / 'a.png')
        with pytest.raises(ValueError, match='expected training counts'):
            per_class_report.plot_per_class({'CE': [unknown]}, tmp_path / 'a.png')
        with pytest.raises(ValueError, match='at least one'):
            per_class_report.plot_per_class({}, tmp_path / 'a.png')


class TestWorstClassRatio:
    def test_training_set_gets_the_test_pipeline_inside_wrappers(self):
        plain = dict(type='DigitsLT', pipeline=['augment'])
        paired = dict(
            type='PairedDataset',
            partner_pipeline=['augment'],
            dataset=dict(type='LongTailDataset', dataset=plain),
        )
        changed = worst_class_ratio.training_set_for_testing(paired, ['pack'])
        assert changed == dict(
            type='LongTailDataset', dataset=dict(type='DigitsLT', pipeline=['pack'])
        )
        assert plain['pipeline'] == ['augment'], 'the config is not changed'
        concatenated = dict(type='ConcatDataset', datasets=[plain, plain])
        parts = worst_class_ratio.training_set_for_testing(concatenated, ['pack'])['datasets']
        assert [part['pipeline'] for part in parts] == [['pack'], ['pack']]
        with pytest.raises(ValueError, match='expected a pipeline'):
            worst_class_ratio.training_set_for_testing(dict(type='DigitsLT'), ['pack'])

    @pytest.mark.slow
    def test_a_checkpoint_of_digits(self, tmp_path, capsys):
        path = TOOLS.parent / 'configs' / 'digits_lt' / 'resnet8_ce.py'
        cfg = Config.fromfile(path)
        cfg.work_dir = str(tmp_path / 'train')
        cfg.train_cfg.max_epochs = 12
        cfg.train_cfg.val_interval = 100
        cfg.train_dataloader.dataset.imbalance_ratio = 2
        cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=100)
        runner = Runner.from_cfg(cfg)
        model = runner.train()

        def per_class(dataset_cfg):
            dataset = DATASETS.build(dataset_cfg)
            with torch.no_grad():
                outputs = model.eval().test_step(
                    pseudo_collate([dataset[i] for i in range(len(dataset))])
                )
            return reference.per_class(
                [int(one.pred_label) for one in outputs], [int(one.gt_label) for one in outputs], 10
            )

        test = per_class(cfg.test_dataloader.dataset)
        train = per_class(
            dict(cfg.train_dataloader.dataset, pipeline=cfg.test_dataloader.dataset.pipeline)
        )
        worst = min(test)
        assert 0 < worst < 1, 'the run is too short or too long to tell'
        out = tmp_path / 'out' / 'wr.json'
        result = worst_class_ratio.main(
            [
                str(path),
                str(tmp_path / 'train' / 'epoch_12.pth'),
                '--work-dir',
                str(tmp_path / 'wr'),
                '--out',
                str(out),
                '--cfg-options',
                'train_dataloader.dataset.imbalance_ratio=2',
            ]
        )
        assert test[result.class_id] == worst
        assert result.name == str(result.class_id)
        assert result.test_accuracy == pytest.approx(100 * worst)
        assert result.train_accuracy == pytest.approx(100 * train[result.class_id])
        assert result.ratio == pytest.approx(worst / train[result.class_id])
        assert json.loads(out.read_text())['ratio'] == result.ratio
        assert 'WR' in capsys.readouterr().out

    def test_undefined_ratio_is_said(self):
        lost = worst_class_ratio.WorstClass(3, 'three', 0.0, 0.0, float('nan'))
        assert 'undefined' in worst_class_ratio.describe(lost)
