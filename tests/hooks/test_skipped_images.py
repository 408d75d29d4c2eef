"""Images that were skipped reach the log, from workers and ranks."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
import torch
from mmengine.dataset import default_collate
from torch.utils.data import DataLoader, Subset

from mmlt.datasets import DigitsLT
from mmlt.hooks import SkippedImagesHook
from tests.datasets.toy import ToyDataset
from tests.digits_runner import digits_runner

BROKEN = {1, 4}


def broken_digits(on_error='skip'):
    """Digits of which some cannot be read."""
    from mmpretrain.datasets import PackInputs

    def read(results):
        if results['sample_idx'] in BROKEN:
            raise OSError('truncated')
        return results

    return DigitsLT(pipeline=[read, PackInputs()], on_error=on_error, serialize_data=False)


class Log:
    def __init__(self):
        self.lines = []

    def warning(self, line):
        self.lines.append(line)


def runner_of(dataset, num_workers=0):
    loader = DataLoader(
        dataset, 32, num_workers=num_workers, collate_fn=default_collate, shuffle=True
    )
    return SimpleNamespace(
        train_dataloader=loader, val_dataloader=loader, seed=3, epoch=2, logger=Log()
    )


def one_epoch(runner, mode='train'):
    hook = SkippedImagesHook()
    getattr(hook, f'before_{mode}_epoch')(runner)
    for i, batch in enumerate(runner.train_dataloader):
        getattr(hook, f'after_{mode}_iter')(runner, i, batch)
    getattr(hook, f'after_{mode}_epoch')(runner)
    return runner.logger.lines


@pytest.mark.parametrize('num_workers', [0, 2])
@pytest.mark.parametrize('mode', ['train', 'val'])
def test_one_line_names_what_was_skipped(num_workers, mode):
    runner = runner_of(broken_digits(), num_workers)
    (line,) = one_epoch(runner, mode)
    times = int(re.search(r'replaced (\d+) times', line)[1])
    assert line.startswith(f'{mode}: 2 images could not be read') and times >= 2
    assert 'DigitsLT, image 1' in line and 'DigitsLT, image 4' in line
    assert '(OSError: truncated)' in line
    assert runner.train_dataloader.dataset._epoch_seed == (3, 2)


def test_nothing_is_said_of_whole_images_nor_gathered_without_the_policy(monkeypatch):
    assert one_epoch(runner_of(DigitsLT(pipeline=broken_digits().pipeline.transforms[1:]))) == []
    monkeypatch.setattr('mmlt.hooks.skipped_images_hook.all_gather_object', None)
    assert one_epoch(runner_of(ToyDataset(pipeline=[dict(type='PackInputs')]))) == []


def test_ranks_add_what_they_skipped(monkeypatch):
    monkeypatch.setattr(
        'mmlt.hooks.skipped_images_hook.all_gather_object', lambda counts: [counts, counts]
    )
    runner = runner_of(broken_digits())
    (line,) = one_epoch(runner)
    assert ' 2 images' in line and int(re.search(r'replaced (\d+) times', line)[1]) % 2 == 0


def test_a_run_skips_and_resumes_over_a_data_set_without_metainfo(tmp_path):
    """torch's Subset; its counts and names still reach model and checkpoint."""
    warnings = []
    for epochs in (1, 2):
        runner = digits_runner(
            tmp_path / 'a',
            'resnet8_logit_adjustment',
            max_epochs=epochs,
            resume=epochs == 2,
            val_cfg=None,
            val_dataloader=None,
            val_evaluator=None,
        )
        data = Subset(broken_digits(), range(0, 305, 2))
        runner._train_dataloader = DataLoader(data, 64, collate_fn=default_collate)
        runner.logger.warning = lambda line, *args: warnings.append(str(line))
        runner.train()
        assert len([line for line in warnings if 'DigitsLT, image 4' in line]) == epochs
    assert runner.iter == 6
    assert runner.model.head.loss_module.class_counts.sum() == 153
    assert not [line for line in warnings if 'dataset metainfo from the resumed' in line]
    meta = torch.load(tmp_path / 'a' / 'epoch_2.pth', weights_only=True)['meta']['dataset_meta']
    assert meta['classes'] == tuple('0123456789') and sum(meta['class_counts']) == 153
