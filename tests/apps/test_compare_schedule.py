"""A recipe in another number of epochs: the same curve, stretched."""

from __future__ import annotations

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmpretrain.registry import HOOKS, PARAM_SCHEDULERS

from mmlt.apps.schedule import epochs_of, scale_epochs
from tests.configs.recipes import CONFIGS

RECIPES = (
    'digits_lt/resnet8_ldam_drw.py',
    'digits_lt/resnet8_concutmix_car.py',
    'cifar10_lt/resnet32_concutmix_ir100.py',
    'cifar10_lt/resnet32_ce_15e_ir100.py',
    'cifar10_lt/resnet32_cmo_ir100.py',
    'cifar10_lt/resnet32_vs_strong_ir100.py',
    'imagenet_lt/vit_small_concutmix_car.py',
)


def load(recipe):
    return Config.fromfile(CONFIGS / recipe)


def learning_rates(cfg, epochs, steps=3):
    """Of each step, by MMEngine's own schedulers."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    wrapper = OptimWrapper(optimizer)
    schedules = cfg if isinstance(cfg, list) else [cfg]
    built = []
    for schedule in schedules:
        schedule = dict(schedule)
        convert = schedule.pop('convert_to_iter_based', False)
        kind = PARAM_SCHEDULERS.get(schedule.pop('type'))
        if convert:
            built.append(
                kind.build_iter_from_epoch(optimizer=wrapper, epoch_length=steps, **schedule)
            )
        else:
            built.append(kind(optimizer=wrapper, **schedule))
    rates = []
    for _ in range(epochs):
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]['lr'])
            optimizer.step()
            for scheduler in built:
                if not scheduler.by_epoch:
                    scheduler.step()
        for scheduler in built:
            if scheduler.by_epoch:
                scheduler.step()
    return torch.tensor(rates)


@pytest.mark.parametrize('recipe', RECIPES)
def test_the_same_epochs_change_nothing_and_there_and_back_is_where_it_was(recipe):
    cfg = load(recipe)
    epochs = epochs_of(cfg)
    before = cfg.to_dict()
    assert scale_epochs(cfg, epochs).to_dict() == before
    longer = scale_epochs(cfg, 3 * epochs)
    assert longer.train_cfg.max_epochs == 3 * epochs and longer.to_dict() != before
    assert scale_epochs(longer, epochs).to_dict() == before
    assert cfg.to_dict() == before


@pytest.mark.parametrize('recipe', RECIPES)
@pytest.mark.parametrize('epochs', [1, 2, 3, 7])
def test_a_short_run_has_schedules_that_mmengine_takes(recipe, epochs):
    short = scale_epochs(load(recipe), epochs)
    rates = learning_rates(short.param_scheduler, epochs)
    assert len(rates) == 3 * epochs and bool((rates > 0).all())
    assert short.train_cfg.val_interval <= epochs


@pytest.mark.parametrize(
    'schedule',
    [
        dict(type='CosineAnnealingLR', T_max=40, by_epoch=True),
        dict(type='MultiStepLR', by_epoch=True, milestones=[20, 32], gamma=0.1),
        dict(type='StepLR', by_epoch=True, step_size=10, gamma=0.5),
        dict(type='PolyLR', by_epoch=True, begin=0, end=40, power=2.0),
        dict(type='ExponentialLR', by_epoch=True, gamma=0.9),
        dict(type='mmengine.ExponentialLR', by_epoch=True, gamma=0.9),
        [
            dict(type='LinearLR', start_factor=0.1, begin=0, end=4, convert_to_iter_based=True),
            dict(
                type='CosineAnnealingLR',
                T_max=36,
                begin=4,
                end=40,
                by_epoch=True,
                convert_to_iter_based=True,
            ),
        ],
    ],
)
def test_the_learning_rate_is_the_same_curve_at_twice_the_speed(schedule):
    cfg = Config(dict(train_cfg=dict(max_epochs=40, val_interval=1), param_scheduler=schedule))
    short = scale_epochs(cfg, 20)
    was, now = (learning_rates(c.param_scheduler, epochs_of(c)) for c in (cfg, short))
    # One value per epoch, and every second epoch of the long run.
    torch.testing.assert_close(now[::3], was[::6], rtol=0, atol=0.06)


def test_warm_up_and_cosine_still_meet_and_end_with_the_run():
    schedules = [
        dict(type='LinearLR', start_factor=0.1, by_epoch=True, begin=0, end=5),
        dict(type='CosineAnnealingLR', by_epoch=True, begin=5, T_max=195),
    ]
    cfg = Config(dict(train_cfg=dict(max_epochs=200, val_interval=1), param_scheduler=schedules))
    for epochs in (3, 10, 33, 90):
        warm_up, cosine = scale_epochs(cfg, epochs).param_scheduler
        assert warm_up.end == cosine.begin >= 1
        assert cosine.begin + cosine.T_max == epochs
    (only,) = scale_epochs(cfg, 1).param_scheduler
    assert only.type == 'LinearLR'


def test_start_epochs_of_hooks_heads_and_samplers_are_scaled_and_still_reached():
    hook = scale_epochs(load('digits_lt/resnet8_ldam_drw.py'), 10).default_hooks.reweighting
    assert hook.start_epoch == 8
    head = scale_epochs(load('digits_lt/resnet8_concutmix.py'), 10).model.head
    assert head.label_start_epoch == 5
    cfg = load('digits_lt/resnet8_cpmix.py')
    cfg.train_dataloader.sampler.start_epoch = 36
    cfg.custom_hooks = [
        dict(type='SwitchRecipeHook', schedule=[dict(action_epoch=39)]),
        dict(type='EMAHook', begin_epoch=0),
    ]
    for epochs in (1, 2, 10):
        short = scale_epochs(cfg, epochs)
        assert short.train_dataloader.sampler.start_epoch == min(round(0.9 * epochs), epochs - 1)
        assert short.custom_hooks[0].schedule[0].action_epoch == epochs  # counted from 1
        assert short.custom_hooks[1].begin_epoch == 0


@pytest.mark.parametrize(
    ('epochs', 'mixed'), [(1, 0), (2, 0), (3, 1), (20, 18), (100, 96), (400, 386)]
)
def test_a_recipe_that_switches_mixing_on_and_off_does_so_in_any_number_of_epochs(epochs, mixed):
    """CMO, whose hook refuses two changes in one epoch."""
    (hook,) = scale_epochs(load('cifar10_lt/resnet32_cmo_ir100.py'), epochs).custom_hooks
    schedule = HOOKS.build(hook).schedule
    on, count = True, 0
    for epoch in range(1, epochs + 1):
        on = schedule.get(epoch, {'batch_augments': on})['batch_augments']
        count += bool(on)
    assert count == mixed and not schedule[1]['batch_augments']


def test_the_schedule_of_another_hook_is_its_own():
    own = dict(type='HookOfTheUser', schedule='cosine')
    cfg = Config(dict(train_cfg=dict(max_epochs=10), custom_hooks=[own]))
    assert scale_epochs(cfg, 5).custom_hooks == [own]


def test_schedules_in_iterations_grow_with_the_run():
    cfg = Config(
        dict(
            train_cfg=dict(max_epochs=10, val_interval=1, dynamic_intervals=[(8, 1)]),
            param_scheduler=[dict(type='LinearLR', by_epoch=False, begin=0, end=500)],
        )
    )
    short = scale_epochs(cfg, 5)
    assert short.param_scheduler[0].end == 250
    assert [tuple(pair) for pair in short.train_cfg.dynamic_intervals] == [(4, 1)]


def test_numbers_that_mmengine_takes_as_epochs_are_taken():
    never = float('inf')
    cfg = Config(dict(train_cfg=dict(max_epochs=1e2, val_interval=never)))
    assert epochs_of(cfg) == 100 and isinstance(epochs_of(cfg), int)
    assert scale_epochs(cfg, 5).train_cfg == dict(max_epochs=5, val_interval=never)
    for wrong in (never, float('nan'), 1.5, True, None):
        with pytest.raises(ValueError, match='train_cfg: expected max_epochs'):
            epochs_of(Config(dict(train_cfg=dict(max_epochs=wrong))))


def test_a_recipe_by_iterations_is_refused():
    cfg = Config(dict(train_cfg=dict(by_epoch=False, max_iters=100)))
    with pytest.raises(ValueError, match='train_cfg: expected max_epochs'):
        scale_epochs(cfg, 3)
