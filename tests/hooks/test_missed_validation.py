"""A run that is killed in a validation ends as one that was not."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.logging import MessageHub
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from mmlt.hooks.missed_validation_hook import MissedValidationHook
from tests.digits_runner import digits_runner


class Killed(Exception):
    """In place of a SIGKILL."""


def loop_of(kind, **options):
    loop = kind.__new__(kind)
    given = dict(
        _epoch=0,
        _iter=0,
        _max_epochs=10,
        _max_iters=100,
        val_begin=1,
        val_interval=1,
        dynamic_milestones=[0],
        dynamic_intervals=[options.get('val_interval', 1)],
        stop_training=False,
    )
    vars(loop).update({**given, **options})
    return loop


def validations(loop, saved_epoch=None, validated=None, early=None, hooks=()):
    """How many validations a run makes up, and its runner."""
    hub = MessageHub.get_instance(f'missed_{id(loop)}')
    calls = []
    runner = SimpleNamespace(
        _resume=True,
        train_loop=loop,
        message_hub=hub,
        epoch=loop._epoch,
        iter=loop._iter,
        hooks=list(hooks),
        logger=SimpleNamespace(info=lambda text: None),
        val_loop=SimpleNamespace(run=lambda: calls.append(dict(hub.runtime_info))),
    )
    epoch = loop._epoch - 1 if saved_epoch is None else saved_epoch
    saved = dict(epoch=epoch, iter=loop._iter - 1)
    hook = MissedValidationHook()
    checkpoint = dict(message_hub=dict(runtime_info=saved))
    if early:
        checkpoint['early_stopping'] = early
    hook.after_load_checkpoint(runner, checkpoint)
    hub.update_info_dict(dict(epoch=loop._epoch, iter=loop._iter))
    if validated is not None:
        hub.update_info('iter_of_validation', validated)
    hook.before_train(runner)
    if calls:
        assert {key: calls[0][key] for key in saved} == saved, 'the state of that time'
    assert hub.get_info('epoch') == loop._epoch, 'and that of now'
    before = len(calls)
    hook.before_train(runner)
    assert len(calls) == before, 'once'
    return before


EPOCHS, ITERATIONS = EpochBasedTrainLoop, IterBasedTrainLoop


@pytest.mark.parametrize(
    ('loop', 'given', 'expected'),
    [
        (loop_of(EPOCHS, _epoch=2, _iter=20), {}, 1),
        (loop_of(EPOCHS, _epoch=2, _iter=20), dict(validated=10), 1),
        (loop_of(EPOCHS, _epoch=2, _iter=20), dict(validated=20), 0),
        (loop_of(EPOCHS, _epoch=2, _iter=24), dict(saved_epoch=2), 0),
        (loop_of(EPOCHS, _epoch=2, _iter=20, val_begin=3), {}, 0),
        (loop_of(EPOCHS, _epoch=2, _iter=20, val_interval=3), {}, 0),
        (loop_of(EPOCHS, _epoch=10, _iter=100, val_interval=3), {}, 1),
        (
            loop_of(
                EPOCHS, _epoch=2, _iter=20, dynamic_milestones=[0, 3], dynamic_intervals=[5, 2]
            ),
            {},
            1,
        ),
        (loop_of(ITERATIONS, _iter=20, val_interval=10), dict(saved_epoch=0), 1),
        (loop_of(ITERATIONS, _iter=21, val_interval=10), dict(saved_epoch=0), 0),
        (loop_of(ITERATIONS, _iter=100, val_interval=30), dict(saved_epoch=0), 1),
        (loop_of(ITERATIONS, _iter=20, val_interval=10), dict(saved_epoch=0, validated=20), 0),
    ],
)
def test_what_is_due(loop, given, expected):
    assert validations(loop, **given) == expected


def test_without_validation_or_resume_there_is_nothing_to_do():
    hook = MissedValidationHook()
    hook.after_load_checkpoint(SimpleNamespace(_resume=False), dict(message_hub={}))
    hook.before_train(SimpleNamespace(hooks=[]))


def test_early_stopping_goes_on_waiting():
    stopping = EarlyStoppingHook(monitor='acc', patience=3, rule='greater')
    stopping.wait_count, stopping.best_score = 2, np.float64(40.0)
    runner = SimpleNamespace(hooks=[stopping], train_loop=SimpleNamespace(stop_training=True))
    checkpoint: dict = {}
    MissedValidationHook().before_save_checkpoint(runner, checkpoint)
    assert type(checkpoint['early_stopping']['hooks']['acc']['best_score']) is float
    resumed = EarlyStoppingHook(monitor='acc', patience=3, rule='greater')
    loop = loop_of(EPOCHS, _epoch=2, _iter=20)
    validations(loop, validated=20, early=checkpoint['early_stopping'], hooks=[resumed])
    assert (resumed.wait_count, resumed.best_score) == (2, 40.0)
    assert loop.stop_training


TIMES = ('train/time', 'train/data_time', 'val/time', 'val/data_time')
NAMES = ('experiment_name', 'last_ckpt', 'best_ckpt', 'cfg')


def assert_same_end(whole, parts, name):
    """Weights, early stopping, best score and history; times of day and paths differ."""
    expected, found = (torch.load(folder / name, weights_only=True) for folder in (whole, parts))
    for key, value in expected['state_dict'].items():
        assert torch.equal(value, found['state_dict'][key]), key
    for key in ('param_schedulers', 'early_stopping'):
        assert str(expected.get(key)) == str(found.get(key))
    hubs = expected['message_hub'], found['message_hub']
    infos = [
        {key: value for key, value in hub['runtime_info'].items() if key not in NAMES}
        for hub in hubs
    ]
    assert str(infos[0]) == str(infos[1])
    histories = [
        {
            key: buffer._log_history.tolist()
            for key, buffer in hub['log_scalars'].items()
            if key not in TIMES
        }
        for hub in hubs
    ]
    assert histories[0] == histories[1]


def files(folder):
    return sorted(path.name for path in folder.glob('*.pth'))


@pytest.mark.slow
@pytest.mark.parametrize(('epochs', 'kills'), [(2, [1]), (4, [1, 2, 3, 4])])
def test_killed_in_a_validation(tmp_path, epochs, kills):
    """In the last one too, after which the training loop has nothing left to do."""
    options = {
        'train_cfg.val_interval': 1,
        'train_dataloader.batch_size': 32,
        'default_hooks.early_stopping': dict(type='EarlyStoppingHook', monitor='long_tail/top1'),
    }
    digits_runner(tmp_path / 'whole', max_epochs=epochs, **options).train()
    for killed in range(1, epochs + 1):
        runner = digits_runner(tmp_path / 'parts', max_epochs=epochs, resume=killed > 1, **options)
        kill_in_validation(runner, killed)
    digits_runner(tmp_path / 'parts', max_epochs=epochs, resume=True, **options).train()
    assert files(tmp_path / 'whole') == files(tmp_path / 'parts')
    for name in files(tmp_path / 'whole'):
        assert_same_end(tmp_path / 'whole', tmp_path / 'parts', name)


def kill_in_validation(runner, epoch):
    class Kill(Hook):
        def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            if runner.epoch == epoch:
                raise Killed

    runner.register_hook(Kill())
    with pytest.raises(Killed):
        runner.train()
