"""What a kill leaves of a run's checkpoints, and what a resume makes of it."""

from __future__ import annotations

import os
import re
from collections import deque
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import MessageHub

from mmlt.checkpoints import fault_of, save_whole
from mmlt.hooks.resume_from import choose_checkpoint
from mmlt.hooks.whole_checkpoints import WholeCheckpointHook, keep_checkpoints_whole
from tests.digits_runner import digits_runner


class Deeds(list):
    """What happens to the files of a run, in order."""

    def __init__(self, monkeypatch, fail_at=None):
        replace, remove = os.replace, os.remove
        self.fail_at = fail_at
        monkeypatch.setattr(os, 'replace', lambda a, b: self.do('new', b, lambda: replace(a, b)))
        monkeypatch.setattr(os, 'remove', lambda a: self.do('gone', a, lambda: remove(a)))

    def do(self, deed, path, act):
        name = f'{deed} {Path(path).name}'
        if name == self.fail_at:
            raise Killed
        act()
        self.append(name)


class Killed(Exception):
    """In place of a SIGKILL."""


def fake_run(tmp_path, **options):
    """A hook of a run, and the runner as far as the hook needs it."""
    hub = MessageHub.get_instance(f'{tmp_path.name}_{len(options)}')
    runner = SimpleNamespace(
        work_dir=str(tmp_path), message_hub=hub, epoch=0, iter=0, _resume=False, saved=[]
    )
    runner.logger = SimpleNamespace(info=lambda *args: None, warning=lambda *args: None)

    def save_checkpoint(out_dir, filename, *args, meta, **kwargs):
        info = hub.state_dict()['runtime_info']
        save_whole(dict(meta=dict(meta), info=dict(info)), Path(out_dir) / filename)

    runner.save_checkpoint = save_checkpoint
    hook = WholeCheckpointHook(**options)
    hook.before_train(runner)
    return hook, runner


def train_epoch(hook, runner, metrics=None):
    runner.iter += 10
    hook.after_train_epoch(runner)
    runner.epoch += 1
    if metrics is not None:
        hook.after_val_epoch(runner, metrics)
        hook.after_val(runner)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_old_one_goes_after_the_new_one_and_its_name(tmp_path, monkeypatch):
    hook, runner = fake_run(tmp_path, interval=1, max_keep_ckpts=1)
    train_epoch(hook, runner)
    deeds = Deeds(monkeypatch)
    train_epoch(hook, runner)
    assert deeds == ['new epoch_2.pth', 'new last_checkpoint', 'gone epoch_1.pth']
    assert names(tmp_path) == ['epoch_2.pth', 'last_checkpoint']
    assert runner.message_hub.get_info('keep_ckpt_ids') == [2]


@pytest.mark.parametrize('fail_at', ['new epoch_2.pth', 'new last_checkpoint', 'gone epoch_1.pth'])
def test_killed_anywhere_leaves_a_whole_one(tmp_path, monkeypatch, fail_at):
    hook, runner = fake_run(tmp_path, interval=1, max_keep_ckpts=1)
    train_epoch(hook, runner)
    Deeds(monkeypatch, fail_at)
    with pytest.raises(Killed):
        train_epoch(hook, runner)
    monkeypatch.undo()
    named = Path((tmp_path / 'last_checkpoint').read_text())
    assert fault_of(named) is None
    # What should have gone does so on resume.
    info = torch.load(sorted(tmp_path.glob('epoch_*'))[-1], weights_only=True)['info']
    runner.message_hub.update_info('keep_ckpt_ids', list(info['keep_ckpt_ids']))
    hook.before_train(runner)
    assert len(list(tmp_path.glob('epoch_*'))) == 1


def test_the_former_best_goes_after_the_new_one(tmp_path, monkeypatch):
    """And the checkpoint of the epoch is saved again when every hook has seen the validation."""
    hook, runner = fake_run(tmp_path, interval=1, save_best='acc', rule='greater')
    train_epoch(hook, runner, dict(acc=1.0))
    runner.iter += 10
    hook.after_train_epoch(runner)
    runner.epoch += 1
    deeds = Deeds(monkeypatch)
    hook.after_val_epoch(runner, dict(acc=2.0))
    assert deeds == ['new best_acc_epoch_2.pth', 'gone best_acc_epoch_1.pth']
    hook.after_val(runner)
    assert deeds[2:] == ['new epoch_2.pth', 'new last_checkpoint']
    info = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)['info']
    assert info['best_score'] == 2.0
    assert info['iter_of_validation'] == 20
    hook.after_val(runner)
    assert len(deeds) == 4, 'once'


def test_a_best_model_that_is_found_again_is_not_removed(tmp_path):
    """The file may be there already: the run was killed after it was written."""
    hook, runner = fake_run(tmp_path, interval=1, save_best='acc', rule='greater')
    train_epoch(hook, runner, dict(acc=1.0))
    hook.after_val_epoch(runner, dict(acc=2.0))
    assert (tmp_path / 'best_acc_epoch_1.pth').is_file()


def test_several_best_models(tmp_path):
    hook, runner = fake_run(tmp_path, interval=1, save_best=['acc', 'loss'])
    train_epoch(hook, runner, dict(acc=1.0, loss=1.0))
    train_epoch(hook, runner, dict(acc=2.0, loss=2.0))
    train_epoch(hook, runner, dict(acc=1.5, loss=0.5))
    assert [name for name in names(tmp_path) if name.startswith('best')] == [
        'best_acc_epoch_2.pth',
        'best_loss_epoch_3.pth',
    ]


def test_the_checkpoint_of_a_stopped_run_gives_way_to_the_next(tmp_path):
    hook, runner = fake_run(tmp_path, interval=1)
    train_epoch(hook, runner)
    path = hook.save_to_stop(runner, epoch=1, iteration=14, by_epoch=False)
    assert Path(path).name == 'iter_14.pth'
    assert (tmp_path / 'last_checkpoint').read_text() == path
    assert torch.load(path, weights_only=True)['meta'] == dict(epoch=1, iter=14)
    hook.save_to_stop(runner, epoch=1, iteration=17, by_epoch=False)
    assert names(tmp_path) == ['epoch_1.pth', 'iter_17.pth', 'last_checkpoint']
    train_epoch(hook, runner)
    assert names(tmp_path) == ['epoch_1.pth', 'epoch_2.pth', 'last_checkpoint']


@pytest.mark.parametrize('name', ['../iter_1.pth', 'best_acc_epoch_1.pth', 'notes.txt', 3])
def test_a_checkpoint_names_nothing_else_to_remove(tmp_path, name):
    hook, runner = fake_run(tmp_path, interval=1)
    runner.message_hub.update_info('temporary_ckpt', name)
    assert hook._temporary(runner) == []


def test_what_a_killed_run_left_is_cleared(tmp_path):
    (tmp_path / '.epoch_3.pth.partial').write_bytes(b'half')
    (tmp_path / 'notes.partial').write_text('of a user')
    fake_run(tmp_path, interval=1)
    assert names(tmp_path) == ['notes.partial']


class OwnHook(CheckpointHook):
    """Of a user."""

    def after_train_epoch(self, runner):
        super().after_train_epoch(runner)


def test_the_listed_hook_keeps_its_place_options_and_class(tmp_path):
    runner = digits_runner(tmp_path / 'a')
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    own = OwnHook(interval=3, out_dir=str(tmp_path))
    runner.register_hook(own)
    stock = next(hook for hook in runner.hooks if type(hook) is CheckpointHook)
    order, options = [id(hook) for hook in runner.hooks], dict(vars(stock))
    keep_checkpoints_whole(runner)
    keep_checkpoints_whole(runner)
    assert order == [id(hook) for hook in runner.hooks]
    assert type(stock) is WholeCheckpointHook
    assert vars(stock) == options
    assert isinstance(own, (OwnHook, WholeCheckpointHook))
    assert type(own).__mro__.index(OwnHook) < type(own).__mro__.index(WholeCheckpointHook)
    assert own.interval == 3


def test_a_run_saves_aside_whatever_hook_asks_for_it(tmp_path, monkeypatch):
    """Stopped before the name is given, after MMEngine's own code has written the bytes."""
    runner = digits_runner(tmp_path / 'a')
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    keep_checkpoints_whole(runner)
    Deeds(monkeypatch, 'new own.pth')
    with pytest.raises(Killed):
        runner.save_checkpoint(str(tmp_path / 'a'), 'own.pth')
    monkeypatch.undo()
    assert not list((tmp_path / 'a').glob('*own*'))
    runner.save_checkpoint(str(tmp_path / 'a'), 'own.pth')
    assert fault_of(tmp_path / 'a' / 'own.pth') is None


# Resume


def resuming(tmp_path, load_from=None, resume=True, **options):
    runner = digits_runner(tmp_path, **options)
    runner._resume, runner._load_from = resume, load_from
    return runner


def checkpoints(folder, *epochs):
    folder.mkdir(exist_ok=True)
    for epoch in epochs:
        path = folder / f'epoch_{epoch}.pth'
        save_whole(dict(meta=dict(epoch=epoch, iter=10 * epoch), state_dict={}), path)
        os.utime(path, (epoch, epoch))
    (folder / 'last_checkpoint').write_text(str(path))


def damage(path):
    with path.open('r+b') as file:
        file.seek(path.stat().st_size // 2)
        file.write(b'\xff' * 64)


@pytest.mark.parametrize('note', ['missing', 'empty', 'damaged', 'moved', 'right'])
def test_the_newest_checkpoint_is_found(tmp_path, note):
    folder = tmp_path / 'a'
    checkpoints(folder, 9, 10)
    last = folder / 'last_checkpoint'
    if note == 'missing':
        last.unlink()
    elif note != 'right':
        last.write_bytes({'empty': b'', 'damaged': bytes(9), 'moved': b'/gone/epoch_10.pth'}[note])
    runner = resuming(folder)
    choose_checkpoint(runner)
    assert runner._load_from == str(folder / 'epoch_10.pth')


def test_a_damaged_one_is_named_and_the_one_before_is_taken(tmp_path):
    folder = tmp_path / 'a'
    checkpoints(folder, 1, 2)
    damage(folder / 'epoch_2.pth')
    runner = resuming(folder)
    said = []
    runner.logger.warning = said.append
    choose_checkpoint(runner)
    assert runner._load_from == str(folder / 'epoch_1.pth')
    assert str(folder / 'epoch_2.pth') in said[0]
    assert 'is damaged' in said[0]


@pytest.mark.parametrize('which', ['none', 'damaged'])
def test_no_silent_start_at_epoch_0(tmp_path, which):
    folder = tmp_path / 'a'
    if which == 'damaged':
        checkpoints(folder, 1)
        damage(folder / 'epoch_1.pth')
    runner = resuming(folder)
    with pytest.raises(ValueError, match='--resume: expected a whole checkpoint in ') as error:
        runner.train()
    assert str(folder) in str(error.value)
    assert ('epoch_1.pth' in str(error.value)) == (which == 'damaged')


@pytest.mark.parametrize(('resume', 'name'), [(True, '--resume'), (False, 'load_from')])
def test_a_file_that_the_user_names_is_verified(tmp_path, resume, name):
    folder = tmp_path / 'a'
    checkpoints(folder, 1)
    path = folder / 'epoch_1.pth'
    choose_checkpoint(resuming(folder, str(path), resume))
    damage(path)
    for bad in (path, folder / 'missing.pth'):
        pattern = f'^{name}: expected a whole checkpoint, got {re.escape(str(bad))}, which '
        with pytest.raises(ValueError, match=pattern):
            choose_checkpoint(resuming(folder, str(bad), resume))


@pytest.mark.parametrize('place', ['https://example.org/a.pth', 'torchvision://resnet18'])
def test_other_places_are_left_to_mmengine(tmp_path, place):
    runner = resuming(tmp_path / 'a', place)
    choose_checkpoint(runner)
    assert runner._load_from == place


def test_a_remote_last_checkpoint_is_left_to_mmengine(tmp_path):
    folder = tmp_path / 'a'
    folder.mkdir()
    (folder / 'last_checkpoint').write_text('s3://bucket/epoch_1.pth')
    runner = resuming(folder)
    choose_checkpoint(runner)
    assert runner._load_from is None


def test_checkpoints_in_a_folder_of_their_own(tmp_path):
    checkpoints(tmp_path / 'out', 1)
    (tmp_path / 'out').rename(tmp_path / 'a')
    (tmp_path / 'out').mkdir()
    (tmp_path / 'a').rename(tmp_path / 'out' / 'a')
    runner = resuming(tmp_path / 'a', **{'default_hooks.checkpoint.out_dir': str(tmp_path / 'out')})
    choose_checkpoint(runner)
    assert runner._load_from == str(tmp_path / 'out' / 'a' / 'epoch_1.pth')


def test_whole_run_with_one_checkpoint_kept(tmp_path):
    """Damaged in the middle, as by a bad disk: the run before it is repeated, to the same end."""
    options = {'default_hooks.checkpoint.max_keep_ckpts': 1, 'train_cfg.val_interval': 1}
    folder = tmp_path / 'a'
    runner = digits_runner(folder, max_epochs=2, **options)
    left = []

    class Look(Hook):
        priority = 'LOWEST'

        def after_train_epoch(self, runner):
            left.append(sorted(path.name for path in folder.glob('epoch_*')))

    runner.register_hook(Look())
    runner.train()
    assert left == [['epoch_1.pth'], ['epoch_2.pth']]
    hook = next(hook for hook in runner.hooks if isinstance(hook, CheckpointHook))
    assert hook.keep_ckpt_ids == deque([2])
    assert (folder / 'last_checkpoint').read_text() == str(folder / 'epoch_2.pth')
    assert all(fault_of(path) is None for path in folder.glob('*.pth'))
