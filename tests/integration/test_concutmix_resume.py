"""ConCutMix + CAR, interrupted in the middle of an epoch: ends as the run that was not."""

from __future__ import annotations

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tests.digits_runner import digits_config
from tests.distributed.launch import join, run_ranks

EPOCHS, STEPS = 3, 5
OPTIONS = {
    'default_hooks.checkpoint.save_best': None,
    # Rectified labels and a running prior from before the interruption on.
    'model.head.label_start_epoch': 1,
    'model.head.loss.prior': 'effective',
    # An averaged model pairs the buffers of the estimate by position.
    'custom_hooks': [dict(type='EMAHook', momentum=0.1)],
}


class Killed(Exception):
    """Power cut."""


class Kill(Hook):
    """Cuts the last epoch short, when some of its batches have been learnt."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.epoch == EPOCHS - 1 and batch_idx == 1:
            raise Killed


@pytest.fixture(autouse=True)
def lean_host(monkeypatch):
    """Spare a second per runner: asking compilers for versions."""


def build(work_dir, name, rank=0, world_size=1, **options):
    cfg = digits_config(work_dir, 'resnet8_concutmix_car', EPOCHS, **OPTIONS, **options)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    # Runners of one name share MMEngine's message hub, which a new process would not have.
    cfg.experiment_name = f'{work_dir.parent.name}_{name}_{rank}'
    join(cfg, rank, world_size)
    return Runner.from_cfg(cfg)


def train_whole(work_dir, *where, **options):
    runner = build(work_dir / 'whole', 'whole', *where, **options)
    runner.train()
    return runner


def train_in_parts(work_dir, *where, **options):
    first = build(work_dir / 'parts', 'first', *where, **options)
    first.register_hook(Kill())
    with pytest.raises(Killed):
        first.train()
    assert first.iter == (EPOCHS - 1) * STEPS + 1
    second = build(work_dir / 'parts', 'second', *where, resume=True, **options)
    second.train()
    return second


def tensors(tree, path=''):
    """Path and tensor of every leaf of a checkpoint."""
    if isinstance(tree, torch.Tensor):
        yield path, tree
    elif isinstance(tree, (dict, list)):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from tensors(value, f'{path}/{key}')


def final_checkpoint(folder):
    return torch.load(folder / f'epoch_{EPOCHS}.pth', weights_only=True)


WORKERS = {'train_dataloader.num_workers': 2}
ON_DEVICE = {
    **WORKERS,
    'data_preprocessor.type': 'DeviceImagesDataPreprocessor',
    'data_preprocessor.num_views': 2,
    'data_preprocessor.auto_augment_fill': 128,
    'train_dataloader.dataset.dataset.pipeline': [dict(type='PackIndex')],
}


@pytest.mark.parametrize(
    'options', [{}, *(pytest.param(part, marks=pytest.mark.slow) for part in (WORKERS, ON_DEVICE))]
)
def test_resumed_equals_uninterrupted(tmp_path, options):
    runner = train_whole(tmp_path, **options)
    train_in_parts(tmp_path, **options)
    whole, parts = final_checkpoint(tmp_path / 'whole'), final_checkpoint(tmp_path / 'parts')
    estimate = runner.model.head.loss_car.estimate
    assert estimate.confusion.any() and estimate.num_updates == EPOCHS * STEPS
    for part in ('state_dict', 'ema_state_dict', 'optimizer'):
        found, expected = dict(tensors(parts[part])), dict(tensors(whole[part]))
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=0, atol=0, msg=part + name)
    names = whole['state_dict'].keys()
    for name in ('head.loss_car.estimate.confusion', 'head.loss_module.running_prior'):
        assert name in names


def both_runs(rank, world_size, work_dir):
    """Weights and estimate of a rank after the whole run and after the two parts."""
    Runner._log_env = lambda runner, env_cfg: None
    options = {'train_dataloader.batch_size': 32}
    runners = [
        train(work_dir, rank, world_size, **options) for train in (train_whole, train_in_parts)
    ]
    return [runner.model.module.state_dict() for runner in runners]


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason='what happens without a GPU')
def test_two_ranks_resume_together(tmp_path):
    """But for the running statistics of BatchNorm, which are those of rank 0 in a checkpoint."""
    (expected, *others), second = run_ranks(both_runs, 2, tmp_path)
    for name, value in expected.items():
        if not name.endswith(('running_mean', 'running_var')):
            for found in (*others, *second):
                torch.testing.assert_close(found[name], value, rtol=0, atol=0, msg=name)
