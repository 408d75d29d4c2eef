"""The one hook: what it registers, what it leaves alone, what it refuses, and the same numbers."""

from __future__ import annotations

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from tests.digits_runner import digits_config, digits_runner

ALWAYS = {
    'LongTailHook',
    'ClassCountsHook',
    'TrainingProgressHook',
    'EpochSeedHook',
    'WeightsCheckHook',
    'WithinEpochHook',
    'ResumeCheckHook',
    'BatchNormSyncHook',
}
# Of every run, and in no config; the last one is in the place of MMEngine's.
SAVED = {'StopSignalHook', 'MissedValidationHook', 'WholeCheckpointHook'}


def hooks_of(runner):
    return [
        type(hook).__name__ for hook in runner.hooks if type(hook).__module__.startswith('mmlt.')
    ]


@pytest.mark.parametrize(
    ('leaf', 'more'),
    [
        ('resnet8_ce', set()),
        ('resnet8_car', {'EMAConfusionHook'}),
        ('resnet8_concutmix_car', {'EMAConfusionHook'}),
        ('resnet8_cpmix', {'ConfusionPairsHook'}),
        ('resnet8_cpmix_car', {'ConfusionPairsHook', 'EMAConfusionHook'}),
    ],
)
def test_each_run_gets_the_parts_that_it_needs_once(tmp_path, leaf, more):
    runner = digits_runner(tmp_path / 'a', leaf)
    assert hooks_of(runner) == ['LongTailHook'], 'the recipe lists this one only'
    runner.train()
    assert sorted(hooks_of(runner)) == sorted(ALWAYS | SAVED | more)
    runner.call_hook('before_run')
    assert sorted(hooks_of(runner)) == sorted(ALWAYS | SAVED | more), 'a second run adds nothing'


def test_a_test_registers_what_a_test_needs(tmp_path):
    runner = digits_runner(tmp_path / 'a', 'resnet8_cpmix_car')
    runner.test()
    needed = {'LongTailHook', 'ClassCountsHook', 'TrainingProgressHook', 'WeightsCheckHook'}
    assert set(hooks_of(runner)) == needed


def test_a_part_that_is_listed_by_hand_is_kept(tmp_path):
    runner = digits_runner(
        tmp_path / 'a',
        'resnet8_car',
        custom_hooks=[
            dict(type='EMAConfusionHook', start_epoch=3, num_pairs=2),
            dict(type='ClassCountsHook'),
        ],
    )
    runner.train()
    assert sorted(hooks_of(runner)) == sorted(ALWAYS | SAVED | {'EMAConfusionHook'})
    hook = next(hook for hook in runner.hooks if type(hook).__name__ == 'EMAConfusionHook')
    assert (hook.start_epoch, hook.num_pairs) == (3, 2)
    assert runner.model.head.loss_module.strength == 0.0


def without_the_hook(cfg: Config, *listed: dict) -> Config:
    cfg.default_hooks.pop('long_tail')
    cfg.custom_hooks = [dict(hook) for hook in listed]
    return cfg


def weights_of(cfg, name):
    cfg.experiment_name = f'long_tail_hook_{name}'
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner.model.state_dict()


@pytest.mark.parametrize(
    ('leaf', 'more'),
    [
        ('resnet8_concutmix_car', ['EMAConfusionHook']),
        pytest.param('resnet8_cpmix', ['ConfusionPairsHook'], marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_the_same_weights_as_with_each_part_listed(tmp_path, leaf, more):
    """Bit for bit, with workers that augment."""
    options = {'train_dataloader.num_workers': 2}
    one = weights_of(digits_config(tmp_path / 'one', leaf, 2, **options), f'{leaf}_one')
    parts = [*sorted(ALWAYS - {'LongTailHook'}), *more]
    cfg = without_the_hook(
        digits_config(tmp_path / 'many', leaf, 2, **options), *(dict(type=part) for part in parts)
    )
    many = weights_of(cfg, f'{leaf}_many')
    assert one.keys() == many.keys()
    for name, value in one.items():
        assert torch.equal(value, many[name]), name


def test_another_priority_is_refused(tmp_path):
    runner = digits_runner(tmp_path / 'a', **{'default_hooks.long_tail.priority': 'LOW'})
    with pytest.raises(ValueError, match=r"LongTailHook.priority: expected 'HIGHEST', got 'LOW'"):
        runner.train()


@pytest.mark.parametrize(
    'leaf',
    [
        'resnet8_logit_adjustment',
        'resnet8_car',
        'resnet8_ldam_drw',
        'resnet8_remix',
        'resnet8_cmo',
        'resnet8_concutmix',
        'resnet8_cpmix',
    ],
)
def test_without_it_a_component_that_needs_it_says_so_at_the_first_step(tmp_path, leaf):
    cfg = without_the_hook(digits_config(tmp_path / 'a', leaf))
    if leaf == 'resnet8_ldam_drw':
        cfg.default_hooks.pop('reweighting')
    if 'batch_sampler' in cfg.train_dataloader:
        cfg.train_dataloader.batch_sampler.prob = 1.0
    cfg.experiment_name = f'without_{tmp_path.name}'
    runner = Runner.from_cfg(cfg)
    with pytest.raises(ValueError, match=r"long_tail=dict\(type='LongTailHook'\)"):
        runner.train()
    assert runner.iter == 0


def test_a_validation_without_it_says_what_is_left_out(tmp_path, monkeypatch):
    messages = []
    monkeypatch.setattr(
        'mmlt.evaluation.long_tail_metric.print_log',
        lambda message, **kwargs: messages.append(message),
    )
    cfg = without_the_hook(digits_config(tmp_path / 'a'))
    cfg.experiment_name = f'without_{tmp_path.name}'
    Runner.from_cfg(cfg).train()
    assert any("long_tail=dict(type='LongTailHook')" in message for message in messages)
