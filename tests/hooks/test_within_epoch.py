"""Checkpoints within an epoch: the run goes on with the next batch, in every respect."""

from __future__ import annotations

import hashlib
from copy import deepcopy

import pytest
import torch
from mmengine.hooks import Hook
from mmpretrain.registry import DATA_SAMPLERS
from torch.utils.data import RandomSampler

from mmlt.hooks import WithinEpochHook
from tests.digits_runner import digits_runner

EPOCHS, STEPS = 3, 5


class Killed(Exception):
    """Power cut."""


class Watch(Hook):
    """Writes down what reaches each iteration, and cuts the run short before one."""

    priority = 'LOWEST'

    def __init__(self, stop_at=None):
        self.stop_at, self.seen, self.validated = stop_at, {}, {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.stop_at:
            raise Killed
        images = repr(list(tensors(data_batch))).encode()
        state = torch.get_rng_state().numpy().tobytes()
        self.seen[runner.iter] = (
            runner.epoch,
            batch_idx,
            hashlib.sha256(images + state).hexdigest(),
            runner.optim_wrapper.get_lr()['lr'],
        )

    def after_val_epoch(self, runner, metrics=None):
        self.validated[runner.iter] = metrics


def tensors(tree, path=''):
    if isinstance(tree, torch.Tensor):
        yield path, tree.tolist()
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield from tensors(value, f'{path}/{key}')
    elif isinstance(tree, (list, tuple)):
        for key, value in enumerate(tree):
            yield from tensors(value, f'{path}/{key}')
    elif hasattr(tree, 'gt_label'):
        yield path, tree.gt_label.tolist()
    elif isinstance(tree, (int, float, str)):
        yield path, tree


def options_of(interval, workers=0, **more):
    return {
        'train_cfg.val_interval': 1,
        'train_dataloader.num_workers': workers,
        'default_hooks.checkpoint.by_epoch': False,
        'default_hooks.checkpoint.interval': interval,
        'default_hooks.checkpoint.save_best': None,
        'default_hooks.checkpoint.max_keep_ckpts': -1,
        **more,
    }


def train(folder, leaf, options, stop_at=None, **more):
    runner = digits_runner(folder, leaf, EPOCHS, **deepcopy(options), **more)
    watch = Watch(stop_at)
    runner.register_hook(watch)
    if stop_at is None:
        runner.train()
    else:
        with pytest.raises(Killed):
            runner.train()
    return watch


def last_state(folder):
    """All of the last checkpoint that does not depend on the clock."""
    name = f'iter_{EPOCHS * STEPS}.pth'
    checkpoint = torch.load(folder / name, weights_only=True)
    hub = checkpoint.pop('message_hub')
    checkpoint.pop('meta')
    for name in ('loss', 'lr'):
        checkpoint[name] = torch.as_tensor(hub['log_scalars'][f'train/{name}'].data[0])
    return dict(tensors(checkpoint))


def goes_on_exactly(tmp_path, leaf, interval, stop_at, options):
    whole = train(tmp_path / 'whole', leaf, options)
    first = train(tmp_path / 'parts', leaf, options, stop_at)
    second = train(tmp_path / 'parts', leaf, options, resume=True)
    saved = stop_at // interval * interval
    assert list(second.seen) == list(range(saved, EPOCHS * STEPS))
    assert {**first.seen, **second.seen} == whole.seen
    places = [(iteration // STEPS, iteration % STEPS) for iteration in whole.seen]
    assert [seen[:2] for seen in whole.seen.values()] == places
    assert len({images for _, _, images, _ in whole.seen.values()}) == EPOCHS * STEPS
    assert {**first.validated, **second.validated} == whole.validated
    expected, found = last_state(tmp_path / 'whole'), last_state(tmp_path / 'parts')
    assert found.keys() == expected.keys()
    assert [name for name, value in expected.items() if found[name] != value] == []


EMA = dict(type='EMAHook', momentum=0.1)


@pytest.mark.parametrize(
    ('leaf', 'interval', 'stop_at', 'workers', 'more'),
    [
        # Saved after the second batch of the third epoch; then, after the last of the second.
        ('resnet8_cpmix_car', 4, 13, 0, dict(custom_hooks=[EMA])),
        pytest.param('resnet8_class_balanced', 5, 11, 2, {}, marks=pytest.mark.slow),
        pytest.param('resnet8_cpmix_car', 3, 8, 2, {}, marks=pytest.mark.slow),
        pytest.param(
            'resnet8_ldam_drw',
            2,
            8,
            0,
            {'default_hooks.reweighting.start_epoch': 1},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            'resnet8_concutmix_car',
            3,
            14,
            2,
            {
                'custom_hooks': [EMA],
                'model.head.label_start_epoch': 1,
                'model.head.loss.prior': 'effective',
                'train_dataloader.persistent_workers': True,
            },
            marks=pytest.mark.slow,
        ),
        pytest.param(
            'resnet8_ce',
            4,
            14,
            0,
            {
                'optim_wrapper.accumulative_counts': 2,
                'param_scheduler': [
                    dict(type='LinearLR', start_factor=0.1, end=7, by_epoch=False),
                    dict(type='CosineAnnealingLR', T_max=3, convert_to_iter_based=True),
                ],
            },
            marks=pytest.mark.slow,
        ),
        pytest.param(
            'resnet8_car',
            3,
            8,
            0,
            {'custom_hooks': [dict(type='EMAConfusionHook', start_epoch=1, warmup_epochs=3)]},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_it_goes_on_exactly(tmp_path, leaf, interval, stop_at, workers, more):
    goes_on_exactly(tmp_path, leaf, interval, stop_at, options_of(interval, workers, **more))


@pytest.mark.slow
@pytest.mark.parametrize('sampler', ['InfiniteSampler', 'DefaultSampler'])
@pytest.mark.parametrize('workers', [0, 2])
def test_a_loop_of_iterations_goes_on_in_its_stream(tmp_path, sampler, workers, monkeypatch):
    """In the second pass over the images, without loading what was trained already."""
    monkeypatch.setattr('mmengine.runner.loops.time.sleep', lambda seconds: None)
    options = options_of(
        interval=4,
        workers=workers,
        train_cfg=dict(_delete_=True, by_epoch=False, max_iters=EPOCHS * STEPS, val_interval=5),
        **{
            'train_dataloader.sampler': dict(_delete_=True, type=sampler, shuffle=True),
            'train_dataloader.persistent_workers': bool(workers),
            'param_scheduler': dict(type='CosineAnnealingLR', T_max=15, by_epoch=False),
        },
    )
    del options['train_cfg.val_interval']
    whole = train(tmp_path / 'whole', 'resnet8_ce', options)
    first = train(tmp_path / 'parts', 'resnet8_ce', options, stop_at=10)
    second = train(tmp_path / 'parts', 'resnet8_ce', options, resume=True)
    assert list(second.seen) == list(range(8, EPOCHS * STEPS))
    assert {**first.seen, **second.seen} == whole.seen
    assert len({images for _, _, images, _ in whole.seen.values()}) == EPOCHS * STEPS
    assert last_state(tmp_path / 'parts') == last_state(tmp_path / 'whole')


@DATA_SAMPLERS.register_module()
class ForeignSampler(RandomSampler):
    """Draws from the global generator."""

    def __init__(self, dataset, seed=None):
        super().__init__(dataset)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            {'train_dataloader.sampler': dict(_delete_=True, type='ForeignSampler')},
            r'CheckpointHook.by_epoch: expected True, got False: .* middle of an epoch of Foreign',
        ),
        (
            {'optim_wrapper.accumulative_counts': 3},
            r'CheckpointHook.interval: expected a multiple of accumulative_counts=3, got 4',
        ),
        (
            {'optim_wrapper.accumulative_counts': 2, 'default_hooks.checkpoint.save_begin': 1},
            r'CheckpointHook.save_begin: expected a multiple of accumulative_counts=2, got 1',
        ),
        # These are exact: the end of an epoch, the last iteration, and saves by epoch.
        (
            {
                'train_dataloader.sampler': dict(_delete_=True, type='ForeignSampler'),
                'default_hooks.checkpoint.interval': 2 * STEPS,
            },
            None,
        ),
        ({'optim_wrapper.accumulative_counts': 3, 'default_hooks.checkpoint.interval': -1}, None),
        (
            {
                'train_dataloader.sampler': dict(_delete_=True, type='ForeignSampler'),
                'default_hooks.checkpoint.by_epoch': True,
            },
            None,
        ),
    ],
)
def test_what_cannot_be_exact_is_refused_before_training(tmp_path, options, message):
    runner = digits_runner(tmp_path / 'a', max_epochs=EPOCHS, **options_of(4, **options))
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.call_hook('before_run')
    if message is None:
        runner.call_hook('before_train')
    else:
        with pytest.raises(ValueError, match=message):
            runner.call_hook('before_train')


@pytest.mark.parametrize(
    ('entry', 'total', 'start'),
    [
        (dict(batches=3, total_batch=64), 64, 3),
        (dict(batches=3, total_batch=64), 128, 1),  # with --resume-anyway
        (dict(batches=3, total_batch=64), 32, 5),
        (dict(batches=0, total_batch=64), 64, 0),
        (None, 64, 2),  # saved without the hook, in epoch 1 of 5 batches after iteration 7
    ],
)
def test_where_the_epoch_begins(tmp_path, entry, total, start, monkeypatch):
    monkeypatch.setattr('mmlt.hooks.within_epoch_hook.total_batch_of', lambda runner: total)
    runner = digits_runner(tmp_path / 'a', max_epochs=EPOCHS)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.call_hook('before_run')
    runner._resume = True
    hook = next(hook for hook in runner.hooks if isinstance(hook, WithinEpochHook))
    checkpoint = {'meta': dict(epoch=1, iter=7)}
    if entry is not None:
        checkpoint['within_epoch'] = entry
    hook.after_load_checkpoint(runner, checkpoint)
    runner.call_hook('before_train')
    assert runner.train_dataloader.batch_sampler.start == start
    seen = []
    monkeypatch.setattr(runner, 'call_hook', lambda name, **kwargs: seen.append(kwargs))
    runner.model.train_step = lambda *args, **kwargs: {}
    runner.train_loop.run_iter(0, [])
    assert seen[0]['batch_idx'] == start
    hook.after_train_epoch(runner)
    runner.train_loop.run_iter(0, [])
    assert seen[2]['batch_idx'] == 0
