"""MMPretrain's SwitchRecipeHook, with which a run changes its recipe in a later epoch."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS, MODELS
from mmpretrain.structures import DataSample

from tests.configs.recipes import resolved
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


@pytest.mark.parametrize('data', ['cifar10_lt', 'cifar100_lt'])
def test_cmo_mixes_in_the_epochs_of_its_released_code(data):
    """From 0, those with ``3 < epoch < epochs - 3``."""
    cfg = deepcopy(resolved(f'{data}/resnet32_cmo_ir100'))
    options = {**cfg['data_preprocessor'], 'batch_augments': cfg['model']['train_cfg']}
    preprocessor = MODELS.build(options)
    (switch,) = (HOOKS.build(hook) for hook in cfg['custom_hooks'])
    runner = SimpleNamespace(
        model=SimpleNamespace(data_preprocessor=preprocessor),
        logger=SimpleNamespace(info=lambda text: None),
    )

    def images():
        samples = [DataSample().set_gt_label(label) for label in (0, 1)]
        return dict(inputs=[torch.zeros(3, 32, 32, dtype=torch.uint8)] * 2, data_samples=samples)

    mixed = []
    for epoch in range(cfg['train_cfg']['max_epochs']):
        runner.epoch = epoch
        switch.before_train_epoch(runner)
        if preprocessor.batch_augments is not None:
            for augment in (preprocessor.batch_augments, *preprocessor.batch_augments.augments):
                augment.set_progress(epoch, 200, epoch, 0)
        batch = preprocessor({**images(), 'partner': images()}, training=True)
        if 'gt_score' in batch['data_samples'][0]:
            mixed.append(epoch)
    assert mixed == [epoch for epoch in range(200) if 3 < epoch < 200 - 3]


class Mixed(Hook):
    """Mixed batches of each epoch."""

    def __init__(self):
        self.counts = Counter()

    def before_run(self, runner):
        preprocessor = runner.model.data_preprocessor
        prepare = preprocessor.forward

        def watched(data, training=False):
            batch = prepare(data, training)
            if training:
                self.counts[runner.epoch] += 'gt_score' in batch['data_samples'][0]
            return batch

        preprocessor.forward = watched


def cmo_runner(work_dir, max_epochs, last, **options):
    """Digits with CMO's switches, but unmixed again from the epoch ``last`` on, from 1."""
    (switch,) = deepcopy(resolved('cifar10_lt/resnet32_cmo_ir100')['custom_hooks'])
    switch['schedule'][-1]['action_epoch'] = last
    options = {'train_dataloader.batch_sampler.prob': 1.0, 'custom_hooks': [switch], **options}
    runner = digits_runner(work_dir, 'resnet8_cmo', max_epochs=max_epochs, **options)
    mixed = Mixed()
    runner.register_hook(mixed)
    return runner, mixed.counts


def test_a_run_with_cmo_mixes_all_batches_between_the_switches(tmp_path):
    runner, counts = cmo_runner(tmp_path / 'run', max_epochs=8, last=6)
    runner.train()
    assert [counts[epoch] for epoch in range(8)] == [0, 0, 0, 0, 5, 0, 0, 0]


@pytest.mark.parametrize(
    'epochs', [pytest.param(2, marks=pytest.mark.slow), 4, pytest.param(6, marks=pytest.mark.slow)]
)
def test_cmo_resumed_in_each_of_its_parts(tmp_path, epochs):
    whole, counts = cmo_runner(tmp_path / 'whole', max_epochs=7, last=7)
    whole.train()
    first, _ = cmo_runner(tmp_path / 'parts', max_epochs=7, last=7)
    stop_after(first, epochs=epochs)
    rest, others = cmo_runner(tmp_path / 'parts', max_epochs=7, last=7, resume=True)
    rest.train()
    assert [others[epoch] for epoch in range(epochs, 7)] == [0, 0, 0, 0, 5, 5, 0][epochs:]
    assert counts[4] == counts[5] == 5
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(rest.model.state_dict()[name], value, rtol=0, atol=0, msg=name)


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
