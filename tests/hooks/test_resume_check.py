"""A resumed run names every change, and stops where the result would be that of neither."""

from __future__ import annotations

import json
import re

import pytest
import torch
from mmengine.config import Config

from mmlt.hooks import ResumeCheckHook
from mmlt.hooks.settings import changes, settings_of
from tests.digits_runner import CONFIGS, digits_runner

WARNING, ERROR, SILENT = 'warning', 'error', 'silent'
RESTORED = r' \(that of the checkpoint stays in use\)'
DRW = 'default_hooks.reweighting.start_epoch'
LOSS = 'model.head.loss'
SAMPLER = 'train_dataloader.sampler'


def config(leaf, options=()):
    cfg = Config.fromfile(CONFIGS / 'digits_lt' / f'{leaf}.py')
    cfg.merge_from_dict(dict(options))
    return cfg


# What changes, in which recipe, what is said, at the end of epoch 10, and in the middle of 11.
TABLE = {
    'total batch': ('ce', dict(total=128), 'total_batch: trained with 64, now 128', WARNING, ERROR),
    'processes, total batch kept': ('ce', {'train_dataloader.batch_size': 32}, '', SILENT, SILENT),
    'workers': (
        'ce',
        {'train_dataloader.num_workers': 4, 'train_dataloader.persistent_workers': True},
        '',
        SILENT,
        SILENT,
    ),
    'seed': (
        'ce',
        {'randomness.seed': 7},
        r'randomness.seed: trained with 0, now 7' + RESTORED,
        WARNING,
        WARNING,
    ),
    'seed of the sampler': (
        'cpmix',
        {f'{SAMPLER}.seed': 7},
        rf'{SAMPLER}.seed: trained with None, now 7',
        WARNING,
        ERROR,
    ),
    'learning rate': (
        'ce',
        {'optim_wrapper.optimizer.lr': 0.2},
        r'optim_wrapper.optimizer.lr: trained with 0.1, now 0.2' + RESTORED,
        WARNING,
        WARNING,
    ),
    'optimiser': (
        'ce',
        {'optim_wrapper.optimizer': dict(_delete_=True, type='AdamW', lr=0.001)},
        r'optim_wrapper.optimizer: trained with SGD\(.*\), now AdamW\(lr=0.001\)',
        ERROR,
        ERROR,
    ),
    'mixed precision': (
        'ce',
        {'optim_wrapper.type': 'AmpOptimWrapper'},
        "optim_wrapper.type: trained with nothing, now 'AmpOptimWrapper'",
        WARNING,
        WARNING,
    ),
    'option of the loss': (
        'logit_adjustment',
        {f'{LOSS}.tau': 2.0},
        rf'{LOSS}.tau: trained with 1.0, now 2.0',
        WARNING,
        WARNING,
    ),
    'loss': (
        'ce',
        {LOSS: dict(type='LogitAdjustedLoss', _delete_=True)},
        rf'{LOSS}: trained with CrossEntropyLoss\(\), now LogitAdjustedLoss\(\)',
        ERROR,
        ERROR,
    ),
    'CAR left out': (
        'concutmix_car',
        {'model.head.loss_car': None},
        r'model.head.loss_car: trained with CARLoss\(criterion=None\), now None',
        ERROR,
        ERROR,
    ),
    'backbone': (
        'ce',
        {'model.backbone.depth': 20},
        'model.backbone.depth: trained with 8, now 20',
        ERROR,
        ERROR,
    ),
    'sampler': (
        'ce',
        {SAMPLER: dict(_delete_=True, type='ClassBalancedSampler')},
        rf'{SAMPLER}: trained with DefaultSampler\(shuffle=True\), now ClassBalancedSampler\(\)',
        ERROR,
        ERROR,
    ),
    'partners': (
        'cpmix',
        {f'{SAMPLER}.partners': 'balanced'},
        rf"{SAMPLER}.partners: trained with 'confusion', now 'balanced'",
        ERROR,
        ERROR,
    ),
    'option of the sampler': (
        'cpmix',
        {f'{SAMPLER}.pair_fraction': 0.3},
        rf'{SAMPLER}.pair_fraction: trained with 0.5, now 0.3',
        WARNING,
        ERROR,
    ),
    'share of mixed batches': (
        'cpmix',
        {'train_dataloader.batch_sampler.prob': 0.7},
        'train_dataloader.batch_sampler.prob: trained with 0.5, now 0.7',
        WARNING,
        ERROR,
    ),
    'batch augment': (
        'cpmix',
        {'model.train_cfg.augments': dict(_delete_=True, type='RemixBatchAugment')},
        r'augments: trained with CPMixBatchAugment\(.*\), now RemixBatchAugment\(\)',
        ERROR,
        ERROR,
    ),
    'option of the augment': (
        'cpmix',
        {'model.train_cfg.augments.alpha': 0.5},
        'model.train_cfg.augments.alpha: trained with 1.0, now 0.5',
        WARNING,
        WARNING,
    ),
    'switch to come': (
        'ldam_drw',
        {DRW: 20},
        'DeferredReweightingHook.start_epoch: trained with 32, now 20',
        WARNING,
        WARNING,
    ),
    'switch that has passed': (
        'ldam_drw',
        {DRW: 3},
        'DeferredReweightingHook.start_epoch: trained with 32, now 3',
        ERROR,
        ERROR,
    ),
    'switch of the running epoch': (
        'ldam_drw',
        {DRW: 10},
        'DeferredReweightingHook.start_epoch: trained with 32, now 10',
        WARNING,
        ERROR,
    ),
    'epochs': (
        'ce',
        {'train_cfg.max_epochs': 60},
        'train_cfg.max_epochs: trained with 40, now 60',
        WARNING,
        WARNING,
    ),
    'end of the schedule': (
        'ce',
        {'param_scheduler.T_max': 60},
        r'param_scheduler.T_max: trained with 40, now 60' + RESTORED,
        WARNING,
        WARNING,
    ),
    'schedule': (
        'ce',
        {'param_scheduler': dict(_delete_=True, type='MultiStepLR', milestones=[20])},
        r'param_scheduler: trained with CosineAnnealingLR\(.*, now MultiStepLR\(milestones=\[20\]',
        ERROR,
        ERROR,
    ),
    'data': (
        'ce',
        {'train_dataloader.dataset.imbalance_ratio': 10},
        'train_dataloader.dataset.imbalance_ratio: trained with 50, now 10',
        WARNING,
        WARNING,
    ),
    'pipeline': (
        'ce',
        {'train_dataloader.dataset.pipeline.0.padding': 2},
        'train_dataloader.dataset.pipeline.0.padding: trained with 1, now 2',
        WARNING,
        WARNING,
    ),
    'a further transform': (
        'ce',
        {
            'train_dataloader.dataset.pipeline': [
                dict(type='RandomFlip', prob=0.5, direction='horizontal'),
                dict(type='RandomCrop', crop_size=8, padding=1),
                dict(type='PackInputs'),
            ]
        },
        r'pipeline: trained with \[RandomCrop\(.*PackInputs\(\)\], now \[RandomFlip\(',
        WARNING,
        WARNING,
    ),
    'average of weights': (
        'ce',
        {'custom_hooks': [dict(type='EMAHook', momentum=0.1)]},
        r'EMAHook: trained with nothing, now EMAHook\(momentum=0.1\)',
        WARNING,
        WARNING,
    ),
    'metric': (
        'ce',
        {'val_evaluator.topk': (1, 2)},
        r'val_evaluator.topk: trained with \[1, 5\], now \[1, 2\]',
        WARNING,
        WARNING,
    ),
    'a default that is spelt out': (
        'logit_adjustment',
        {f'{LOSS}.momentum': 0.999, 'model.head.topk': (1,)},
        '',
        SILENT,
        SILENT,
    ),
    'logs and checkpoints': (
        'ce',
        {'default_hooks.logger.interval': 5, 'default_hooks.checkpoint.by_epoch': False},
        '',
        SILENT,
        SILENT,
    ),
}


@pytest.mark.parametrize('name', TABLE)
def test_table_of_changes(name):
    leaf, options, message, *expected = TABLE[name]
    options = dict(options)
    total = options.pop('total', 64)
    before = json.loads(json.dumps(settings_of(config(f'resnet8_{leaf}'), 64)))
    now = settings_of(config(f'resnet8_{leaf}', options), total)
    for within_epoch, kind in enumerate(expected):
        found = changes(before, now, epoch=10, within_epoch=bool(within_epoch))
        if kind == SILENT:
            assert found == []
            continue
        (change,) = found
        assert change.is_error == (kind == ERROR)
        assert re.search(message, change.text), change.text


def test_all_recipes_are_unchanged_by_a_checkpoint():
    for path in sorted((CONFIGS / 'digits_lt').glob('*.py')):
        settings = settings_of(Config.fromfile(path), 64)
        saved = json.loads(json.dumps(settings))
        assert changes(saved, settings, 3, True) == [], path.name


def test_config_in_python_has_classes_and_arrays():
    import numpy as np

    cfg = dict(model=dict(type=torch.nn.Linear, bias=np.float64(0.5), init=print, any=object()))
    settings = settings_of(cfg, None)
    assert json.loads(json.dumps(settings))['model'] == dict(
        type='Linear', bias=0.5, init='print', any='object'
    )


class Loaded:
    """What the hook looks at, without a model."""

    def __init__(self, cfg, total=64, resume=True):
        self.cfg, self.total, self._resume = cfg, total, resume
        self.messages = []
        self.logger = self
        self.train_dataloader = None

    def warning(self, message):
        self.messages.append(message)


@pytest.fixture
def batch_of_the_runner(monkeypatch):
    monkeypatch.setattr('mmlt.hooks.resume_check_hook.total_batch_of', lambda runner: runner.total)


def checkpoint_of(leaf, epoch=10, batches=0):
    checkpoint = {'meta': dict(epoch=epoch), 'within_epoch': dict(batches=batches, length=5)}
    ResumeCheckHook().before_save_checkpoint(Loaded(config(leaf)), checkpoint)
    return checkpoint


CHANGED = {
    'optim_wrapper.optimizer.lr': 0.2,
    'model.head.loss.type': 'LogitAdjustedLoss',
    'train_cfg.max_epochs': 60,
    SAMPLER: dict(type='ClassBalancedSampler', _delete_=True),
}


def test_one_warning_and_one_error(batch_of_the_runner):
    runner = Loaded(config('resnet8_ce', CHANGED))
    with pytest.raises(ValueError, match='--resume-anyway') as error:
        ResumeCheckHook().after_load_checkpoint(runner, checkpoint_of('resnet8_ce'))
    assert str(error.value).count('trained with') == 3  # the title is one
    (message,) = runner.messages
    assert message.count('trained with') == 2
    anyway = Loaded(config('resnet8_ce', CHANGED))
    ResumeCheckHook(resume_anyway=True).after_load_checkpoint(anyway, checkpoint_of('resnet8_ce'))
    (message,) = anyway.messages
    assert message.count('trained with') == 4


@pytest.mark.parametrize(('batches', 'refused'), [(0, False), (2, True), (5, False)])
def test_the_total_batch_may_change_between_epochs(batch_of_the_runner, batches, refused):
    runner = Loaded(config('resnet8_ce'), total=32)
    checkpoint = checkpoint_of('resnet8_ce', batches=batches)
    if refused:
        with pytest.raises(ValueError, match='total_batch: trained with 64, now 32'):
            ResumeCheckHook().after_load_checkpoint(runner, checkpoint)
    else:
        ResumeCheckHook().after_load_checkpoint(runner, checkpoint)
        assert 'total_batch' in runner.messages[0]


def test_weights_alone_may_come_from_anything(batch_of_the_runner):
    runner = Loaded(config('resnet8_ce', CHANGED), resume=False)
    ResumeCheckHook().after_load_checkpoint(runner, checkpoint_of('resnet8_ce'))
    assert runner.messages == []


@pytest.mark.parametrize('text', [None, 3, 'import os', '[1]', '[' * 100000])
def test_a_checkpoint_that_does_not_tell_is_no_obstacle(batch_of_the_runner, text):
    runner = Loaded(config('resnet8_ce'))
    checkpoint = {'meta': dict(epoch=1), 'trained_with': text}
    ResumeCheckHook().after_load_checkpoint(runner, checkpoint)
    assert 'does not tell what it was trained with' in runner.messages[0]


@pytest.mark.parametrize(
    ('leaf', 'before', 'now', 'factor'),
    [
        ('resnet8_ce', (64, True), (128, True), 2.0),
        pytest.param('resnet8_ce', (128, True), (128, True), 1.0, marks=pytest.mark.slow),
        pytest.param('resnet8_ce', (128, True), (32, True), 0.25, marks=pytest.mark.slow),
        pytest.param('resnet8_ce', (128, False), (128, True), 2.0, marks=pytest.mark.slow),
        pytest.param('resnet8_ce', (64, True), (128, False), 1.0, marks=pytest.mark.slow),
    ],
)
def test_the_learning_rate_is_scaled_as_the_log_says(tmp_path, leaf, before, now, factor):
    """MMEngine says that it scales, and then takes the learning rate of the checkpoint."""
    options = {'default_hooks.checkpoint.save_best': None, 'auto_scale_lr.base_batch_size': 64}

    def runner_of(total, enabled, **more):
        options.update({'train_dataloader.batch_size': total, 'auto_scale_lr.enable': enabled})
        return digits_runner(tmp_path / 'run', leaf, max_epochs=4, **options, **more)

    def set_up(runner):
        runner._train_loop = runner.build_train_loop(runner._train_loop)
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        runner.scale_lr(runner.optim_wrapper, runner.auto_scale_lr)
        runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
        runner.call_hook('before_run')
        return runner

    first = set_up(runner_of(*before))
    first.param_schedulers[0].step()
    saved = first.optim_wrapper.get_lr()['lr'][0]
    first.save_checkpoint(str(tmp_path), 'first.pth')
    second = set_up(runner_of(*now, load_from=str(tmp_path / 'first.pth'), resume=True))
    second.load_or_resume()
    second.call_hook('before_train')
    assert second.optim_wrapper.get_lr()['lr'][0] == pytest.approx(saved * factor)
    straight = set_up(runner_of(now[0], now[1] or before[1]))
    for _ in range(3):
        straight.param_schedulers[0].step()
    for _ in range(2):
        second.param_schedulers[0].step()
    if now[1]:
        rates = [runner.optim_wrapper.get_lr()['lr'][0] for runner in (second, straight)]
        assert rates[0] == pytest.approx(rates[1])


@pytest.mark.slow
def test_a_run_stops_before_training_unless_told_otherwise(tmp_path):
    def runner_of(max_epochs, **options):
        options['default_hooks.checkpoint.save_best'] = None
        return digits_runner(tmp_path / 'run', 'resnet8_ce', max_epochs, **options)

    runner_of(1).train()
    changed = {LOSS: dict(type='LogitAdjustedLoss', _delete_=True)}
    refused = runner_of(2, resume=True, **changed)
    with pytest.raises(ValueError, match=r'model.head.loss: trained with CrossEntropyLoss'):
        refused.train()
    assert refused.iter == 0
    anyway = runner_of(2, resume=True, **changed, **{'default_hooks.long_tail.resume_anyway': True})
    anyway.train()
    assert anyway.iter == 10
