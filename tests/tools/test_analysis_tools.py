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

worst_class_ratio = load_tool('analysis_tools/worst_class_ratio.py')


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
