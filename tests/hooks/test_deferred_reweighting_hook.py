"""Deferred re-weighting switches by the epoch."""

import pytest
import torch
from mmengine.hooks import Hook

from mmlt.functional.counts import effective_number_weights
from mmlt.hooks import DeferredReweightingHook
from tests.digits_runner import digits_runner


class WeightsOfEpoch(Hook):
    def __init__(self):
        self.seen = []

    def after_train_epoch(self, runner):
        weight = runner.model.head.loss_module.class_weight
        self.seen.append(None if weight is None else weight.clone())


def test_weights_begin_at_the_start_epoch(tmp_path):
    runner = digits_runner(
        tmp_path / 'a',
        'resnet8_ldam_drw',
        max_epochs=3,
        **{'default_hooks.reweighting.start_epoch': 1},
    )
    record = WeightsOfEpoch()
    runner.register_hook(record)
    runner.train()
    counts = runner.train_dataloader.dataset.class_counts
    assert record.seen[0] is None
    for weight in record.seen[1:]:
        torch.testing.assert_close(weight, effective_number_weights(counts).float())


def test_a_loss_that_takes_no_weights_is_an_error(tmp_path):
    runner = digits_runner(tmp_path / 'a', 'resnet8_ce')
    runner.register_hook(DeferredReweightingHook(start_epoch=0))
    with pytest.raises(ValueError, match=r'model.head.loss.type: expected .*LDAMLoss'):
        runner.train()


@pytest.mark.parametrize('options', [dict(start_epoch=-1), dict(start_epoch=1, beta=1.0)])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match='expected'):
        DeferredReweightingHook(**options)
