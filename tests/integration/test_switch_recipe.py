"""MMPretrain's SwitchRecipeHook, with which a run changes its recipe in a later epoch."""

from __future__ import annotations

import pytest
import torch
from mmengine.hooks import Hook

from tests.digits_runner import digits_config, digits_runner
from tests.hooks.test_resume import stop_after


class Steps(Hook):
    """What the loss was, and whether batches were mixed, in each step of the second epoch."""

    def __init__(self):
        self.mixed = []

    def before_run(self, runner):
        preprocessor = runner.model.data_preprocessor
        prepare = preprocessor.forward

        def watched(data, training=False):
            batch = prepare(data, training)
            if training and runner.epoch == 1:
                self.mixed.append('gt_score' in batch['data_samples'][0])
            return batch

        preprocessor.forward = watched


def train(tmp_path, recipe, leaf='resnet8_concutmix'):
    runner = digits_runner(
        tmp_path / 'run',
        leaf,
        max_epochs=2,
        **{
            'train_dataloader.batch_sampler.prob': 1.0,
            'custom_hooks': [
                dict(type='SwitchRecipeHook', schedule=[dict(action_epoch=2, **recipe)])
            ],
        },
    )
    steps = Steps()
    runner.register_hook(steps)
    runner.train()
    return runner, steps.mixed


def test_mixing_is_switched_off(tmp_path):
    _, mixed = train(tmp_path, dict(batch_augments=None))
    assert mixed == [False] * 5


def test_pairs_give_way_to_mixing_within_the_batch(tmp_path):
    recipe = dict(batch_augments=dict(augments=[dict(type='Mixup', alpha=1.0)], probs=[1.0]))
    runner, mixed = train(tmp_path, recipe)
    assert mixed == [True] * 5
    choice = runner.model.data_preprocessor.batch_augments
    assert type(choice).__name__ == 'BatchAugmentChoice' and choice.probs.tolist() == [1.0, 0.0]


def test_another_augment_and_loss_get_counts_and_progress(tmp_path):
    recipe = dict(
        batch_augments=dict(augments=dict(type='CPMixBatchAugment', tau=1.0)),
        loss=dict(type='LogitAdjustedLoss', prior='effective'),
    )
    runner, mixed = train(tmp_path, recipe, 'resnet8_cpmix')
    assert mixed == [True] * 5
    augment = runner.model.data_preprocessor.batch_augments.augments[0]
    loss = runner.model.head.loss_module
    assert augment.class_counts.sum() == loss.class_counts.sum() == 305
    assert augment._iteration == 9 and loss.running_steps == 5


def test_the_hooks_of_a_loss_find_the_one_that_came(tmp_path):
    class Record(Hook):
        def __init__(self):
            self.seen = []

        def after_train_epoch(self, runner):
            loss = runner.model.head.loss_module
            self.seen.append((loss.strength, loss.criterion.class_weight is not None))

    runner = digits_runner(
        tmp_path / 'run',
        'resnet8_ce',
        max_epochs=3,
        custom_hooks=[
            dict(
                type='SwitchRecipeHook',
                schedule=[
                    dict(
                        action_epoch=1,
                        loss=dict(type='CARLoss', criterion=dict(type='LogitAdjustedLoss')),
                    )
                ],
            ),
            dict(type='EMAConfusionHook', start_epoch=1, warmup_epochs=2),
            dict(type='DeferredReweightingHook', start_epoch=0),
        ],
    )
    record = Record()
    runner.register_hook(record)
    runner.train()
    assert record.seen == [(0.0, True), (0.5, True), (1.0, True)]


@pytest.mark.slow
def test_resumed_after_mixing_was_switched_off(tmp_path):
    """The switch is repeated before the parts are checked."""
    options = {
        'custom_hooks': [
            dict(type='SwitchRecipeHook', schedule=[dict(action_epoch=2, batch_augments=None)])
        ]
    }
    first = digits_runner(tmp_path / 'run', 'resnet8_concutmix', max_epochs=4, **options)
    stop_after(first, epochs=2)
    digits_runner(
        tmp_path / 'run', 'resnet8_concutmix', max_epochs=4, resume=True, **options
    ).train()


@pytest.mark.slow
def test_partners_follow_the_pipeline(tmp_path):
    pipeline = digits_config(tmp_path, 'resnet8_concutmix').train_dataloader.dataset.dataset[
        'pipeline'
    ]
    pipeline[0].transforms[0] = [dict(type='Resize', scale=10)]
    pipeline[0].transforms[1] = [dict(type='Resize', scale=10)]
    runner, mixed = train(tmp_path, dict(train_pipeline=pipeline))
    assert mixed == [True] * 5
    dataset = runner.train_dataloader.dataset
    assert dataset[0, 1]['partner']['inputs'].shape == torch.Size([3, 10, 10])
