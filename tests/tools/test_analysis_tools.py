"""Tables and pictures from logs, and the worst-class ratio of a checkpoint."""

from __future__ import annotations

import json

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS

from tests.references import accuracy as reference
from tests.tools.load_tool import TOOLS, load_tool

collect_results = load_tool('analysis_tools/collect_results.py')
worst_class_ratio = load_tool('analysis_tools/worst_class_ratio.py')


def log_run(folder, top1_by_epoch, started='20250101_000000', first_epoch=1):
    path = folder / started / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    lines = [json.dumps({'lr': 0.1, 'loss': 2.0, 'epoch': 1, 'step': 7})]
    lines += [
        json.dumps(
            {'long_tail/top1': top1, 'long_tail/few_shot': top1 / 2, 'time': 0.1, 'step': epoch}
        )
        for epoch, top1 in enumerate(top1_by_epoch, first_epoch)
    ]
    path.write_text('\n'.join(lines) + '\n')


class TestCollectResults:
    def test_mean_and_deviation_of_last_and_best_epoch(self, tmp_path):
        log_run(tmp_path / 'a' / 'ce_seed0', [10, 30, 20])
        log_run(tmp_path / 'a' / 'ce_seed1', [10, 20, 24])
        log_run(tmp_path / 'car_seed0', [50])
        runs = collect_results.collect([tmp_path])
        assert [(run.method, run.seed) for run in runs] == [('car', 0), ('ce', 0), ('ce', 1)]
        table = collect_results.to_markdown(runs, ['top1', 'few_shot']).splitlines()
        assert table[0].startswith('| method | seeds | epochs | top1 last | top1 best | few')
        assert table[2] == '| car | 1 | 1 | 50.0 | 50.0 | 25.0 | 25.0 |'
        assert table[3] == ('| ce | 2 | 3 | 22.0 ± 2.8 | 27.0 ± 4.2 | 11.0 ± 1.4 | 13.5 ± 2.1 |')

    def test_resumed_run_counts_once_and_a_cut_line_is_skipped(self, tmp_path, capsys):
        folder = tmp_path / 'ce_seed0'
        log_run(folder, [10, 20, 99])
        log_run(folder, [30, 40], started='20250102_000000', first_epoch=3)
        with (folder / '20250102_000000/vis_data/scalars.json').open('a') as file:
            file.write('{"long_tail/top1": 5')
        (run,) = collect_results.collect([folder])
        assert (run.epochs, run.last['top1'], run.best['top1']) == (4, 40, 40)
        assert 'skipped' in capsys.readouterr().err

    def test_run_that_was_only_tested(self, tmp_path):
        for started, top1 in (('20250101_000000', 1.0), ('20250102_000000', 2.0)):
            folder = tmp_path / 'ce_seed3' / started
            folder.mkdir(parents=True)
            (folder / f'{started}.json').write_text(json.dumps({'long_tail/top1': top1}))
        (run,) = collect_results.collect([tmp_path])
        assert run.last == {'top1': 2.0} and run.best is None
        assert collect_results.to_markdown([run], ['top1', 'few_shot']).endswith(
            '| ce | 1 |  | 2.0 |  |  |  |'
        )

    def test_own_pattern_and_best_by(self, tmp_path):
        log_run(tmp_path / 'r7-ldam', [10, 30, 20])
        (run,) = collect_results.collect(
            [tmp_path], r'r(?P<seed>\d+)-(?P<method>.+)', best_by='few_shot'
        )
        assert (run.method, run.seed, run.best['few_shot']) == ('ldam', 7, 15)

    def test_bad_input_is_named(self, tmp_path):
        with pytest.raises(ValueError, match='pattern'):
            collect_results.collect([tmp_path], r'(?P<method>.+)')
        with pytest.raises(ValueError, match='no such folder'):
            collect_results.collect([tmp_path / 'nowhere'])

    def test_command_prints_the_table(self, tmp_path, capsys):
        log_run(tmp_path / 'ce_seed0', [10])
        collect_results.main([str(tmp_path), '--metrics', 'top1'])
        assert '| ce | 1 | 1 | 10.0 | 10.0 |' in capsys.readouterr().out


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
        capsys.readouterr()
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
        said = capsys.readouterr()
        assert 'WR' in said.out
        assert (said.out.count('\n'), said.err) == (1, ''), 'the answer and no more'

    def test_undefined_ratio_is_said(self):
        lost = worst_class_ratio.WorstClass(3, 'three', 0.0, 0.0, float('nan'))
        assert 'undefined' in worst_class_ratio.describe(lost)

    def test_ties_are_named(self):
        one = worst_class_ratio.WorstClass(3, 'three', 0.0, 50.0, 0.0, ('five', 'nine'))
        assert worst_class_ratio.describe(one).endswith('WR 0.000; as low in the test: five, nine')
