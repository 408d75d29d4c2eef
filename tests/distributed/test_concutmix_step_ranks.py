"""ConCutMix + CAR on two ranks: the whole path, from the pair sampler to the averaged gradient.

Nothing is stubbed: the digits config runs through MMEngine's runner as ``tools/train.py`` starts
it. For the comparison with one process BatchNorm is frozen, since ranks do not share its batch
statistics, the views are deterministic, since workers draw theirs by rank, and everything is in
float64. A second, ordinary run has none of these.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from mmlt.engine.cli import prepare_cpu_ranks
from tests.digits_runner import digits_config
from tests.distributed.launch import run_ranks

WORLD_SIZE, BATCH_SIZE, EPOCHS = 2, 64, 2
# Four whole batches: a last one that is filled up to equal sizes is another batch on two ranks.
INDICES = list(range(49, 305))
VIEWS = [[dict(type='RandomFlip', prob=0.0)], [dict(type='RandomFlip', prob=1.0)],
         [dict(type='RandomFlip', prob=1.0, direction='vertical')]]
# Prior to the relative deviation that is allowed: a running prior is kept in float32.
PRIORS = {'train': 1e-10, 0.5: 1e-6}

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason='what happens without a GPU')


class Run(NamedTuple):
    """What a rank keeps: gradients and log of each step, whether it was mixed, the last state."""

    gradients: list[dict[str, Tensor]]
    losses: list[dict[str, Tensor]]
    mixed: list[bool]
    state: dict[str, Tensor]


class Float64Runner(Runner):
    """Widens the model before it is wrapped, as the wrapper sorts parameters by their type."""

    def wrap_model(self, model_wrapper_cfg, model):
        model.double()
        model.backbone.register_forward_pre_hook(lambda _, images: images[0].double())
        return super().wrap_model(model_wrapper_cfg, model)


class FreezeBatchNorm(Hook):

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        for module in runner.model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


class Recorder(Hook):
    """Reads the gradients where the optimiser does."""

    def __init__(self):
        self.gradients, self.losses, self.mixed = [], [], []

    def before_train(self, runner):
        self.names = {p: name for name, p in bare(runner.model).named_parameters()}
        runner.optim_wrapper.optimizer.register_step_pre_hook(self.keep)

    def keep(self, optimizer, *args):
        self.gradients.append({self.names[p]: p.grad.clone()
                               for group in optimizer.param_groups for p in group['params']})

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.mixed.append('partner' in data_batch)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append({name: torch.as_tensor(value) for name, value in outputs.items()})


def bare(model):
    return model.module if is_model_wrapper(model) else model


def config(work_dir, rank, world_size, **options):
    cfg = digits_config(
        work_dir / f'{world_size}_{rank}', 'resnet8_concutmix_car', EPOCHS, **{
            'train_dataloader.batch_size': BATCH_SIZE // world_size,
            'model.head.label_start_epoch': 1,
            'model.head.confidence': 0.3,
            'default_hooks.checkpoint': None,
            **options,
        })
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.experiment_name = f'{work_dir.name}_{rank}_of_{world_size}'
    if world_size > 1:
        # What torchrun sets; the group itself stands already.
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world_size),
                          MASTER_ADDR='127.0.0.1', MASTER_PORT='0')
        cfg.launcher = 'pytorch'
        prepare_cpu_ranks(cfg)
    return cfg


def train(runner, *hooks):
    recorder = Recorder()
    for hook in (recorder, *hooks):
        runner.register_hook(hook)
    runner.train()
    state = {name: value.clone() for name, value in bare(runner.model).state_dict().items()}
    return Run(recorder.gradients, recorder.losses, recorder.mixed, state)


def exact(rank, world_size, work_dir, prior):
    """Everything deterministic, in float64, with frozen BatchNorm."""
    cfg = config(work_dir / f'exact_{prior}', rank, world_size, **{
        'model.head.loss.prior': prior,
        # Known at once, the estimate is widened with the model; else it is made in float32.
        'model.head.loss_car.num_classes': 10,
        'train_dataloader.dataset.dataset.indices': INDICES})
    cfg.train_dataloader.dataset.dataset.pipeline[0].update(
        num_views=[1, 1, 1], transforms=VIEWS)
    return train(Float64Runner.from_cfg(cfg), FreezeBatchNorm())


def ordinary(rank, world_size, work_dir):
    """The config as it is, with the odd last batch and BatchNorm by rank."""
    return train(Runner.from_cfg(config(work_dir / 'ordinary', rank, world_size)))


def everything(rank, world_size, work_dir):
    """One start of the processes for all runs: importing the host takes most of the time."""
    Runner._log_env = spare_the_compilers
    return {**{prior: exact(rank, world_size, work_dir, prior) for prior in PRIORS},
            'ordinary': ordinary(rank, world_size, work_dir)}


def spare_the_compilers(runner, env_cfg):
    """In place of asking them for their versions, a second per runner."""


@pytest.fixture(autouse=True)
def lean_host(monkeypatch):
    monkeypatch.setattr(Runner, '_log_env', spare_the_compilers)


@pytest.fixture(scope='module')
def work_dir(tmp_path_factory):
    return tmp_path_factory.mktemp('ranks')


@pytest.fixture(scope='module')
def ranks(work_dir):
    return run_ranks(everything, WORLD_SIZE, work_dir)


def close(found, expected, tolerance, name):
    torch.testing.assert_close(found, expected, rtol=0,
                               atol=tolerance * float(expected.abs().max()),
                               msg=lambda text: f'{name}: {text}')


@pytest.mark.parametrize('prior', PRIORS)
def test_gradients_of_every_step_are_those_of_one_process(ranks, work_dir, prior):
    whole = exact(0, 1, work_dir, prior)
    tolerance = PRIORS[prior]
    steps = EPOCHS * len(INDICES) // BATCH_SIZE
    assert len(whole.gradients) == steps
    assert {True, False} == set(whole.mixed), 'both kinds of batches are compared'
    assert any('gamma' in losses for losses in whole.losses[steps // 2:]), 'rectified labels too'
    for result in ranks:
        found = result[prior]
        assert found.mixed == whole.mixed
        for step, expected in enumerate(whole.gradients):
            assert all(gradient.any() for gradient in expected.values())
            for name, gradient in expected.items():
                close(found.gradients[step][name], gradient, tolerance, f'step {step}, {name}')
        assert found.state.keys() == whole.state.keys()
        for name, value in whole.state.items():
            close(found.state[name], value, tolerance, name)


@pytest.mark.parametrize('prior', PRIORS)
def test_losses_over_gathered_images_are_the_same_on_all_ranks(ranks, work_dir, prior):
    first, second = (result[prior].losses for result in ranks)
    for ours, theirs in zip(first, second, strict=True):
        for name in ('loss_bcl', 'loss_car'):
            close(ours[name], theirs[name], 1e-10, name)
        assert ours.keys() == theirs.keys()


def test_ranks_of_an_ordinary_run_end_with_one_model_and_one_confusion_estimate(ranks):
    first, second = (result['ordinary'] for result in ranks)
    assert len(first.losses) == EPOCHS * 5 and first.mixed == second.mixed
    assert first.state['head.loss_car.estimate.confusion'].any()
    assert first.state['head.loss_car.estimate.num_updates'] == EPOCHS * 5
    per_rank = ('running_mean', 'running_var')
    for name, value in first.state.items():
        if name.endswith(per_rank):
            continue
        torch.testing.assert_close(second.state[name], value, rtol=0, atol=0, msg=name)
