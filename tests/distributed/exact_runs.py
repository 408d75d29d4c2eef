"""Whole runs on one process and on ranks, with all that tells them apart taken out.

Nothing is stubbed: a digits config runs through MMEngine's runner as ``tools/train.py`` starts it.
For the comparison with one process BatchNorm is frozen, since ranks do not share its batch
statistics, everything is in float64, and the caller makes the pipeline deterministic, since workers
draw by rank.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from tests.digits_runner import digits_config
from tests.distributed.launch import join

BATCH_SIZE, EPOCHS = 64, 2
# Four whole batches: a last one that is filled up to equal sizes is another batch on two ranks.
INDICES = list(range(49, 305))
STEPS = EPOCHS * len(INDICES) // BATCH_SIZE


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
        self.gradients.append(
            {
                self.names[p]: p.grad.clone()
                for group in optimizer.param_groups
                for p in group['params']
                if p.requires_grad
            }
        )

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.mixed.append('partner' in data_batch)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.losses.append({name: torch.as_tensor(value) for name, value in outputs.items()})


def bare(model):
    return model.module if is_model_wrapper(model) else model


def rank_config(work_dir, leaf, rank, world_size, **options):
    """The config of a digits leaf for a rank; together the ranks train on the same batches."""
    cfg = digits_config(
        work_dir / f'{world_size}_{rank}',
        leaf,
        EPOCHS,
        **{
            'train_dataloader.batch_size': BATCH_SIZE // world_size,
            'default_hooks.checkpoint': None,
            **options,
        },
    )
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.experiment_name = f'{work_dir.name}_{rank}_of_{world_size}'
    join(cfg, rank, world_size)
    return cfg


def train(runner, *hooks):
    """Train, and return the :class:`Run`."""
    recorder = Recorder()
    for hook in (recorder, *hooks):
        runner.register_hook(hook)
    runner.train()
    state = {name: value.clone() for name, value in bare(runner.model).state_dict().items()}
    counter = getattr(bare(runner.model).head, 'confusion_pairs', None)
    if counter is not None:
        state['confusion_pairs'] = counter.finished.clone()
    return Run(recorder.gradients, recorder.losses, recorder.mixed, state)


def spare_the_compilers(runner, env_cfg):
    """In place of ``Runner._log_env``, which asks them for their versions: a second per runner."""


def assert_close(found, expected, tolerance, name):
    """Equal up to ``tolerance`` of the largest entry."""
    torch.testing.assert_close(
        found,
        expected,
        rtol=0,
        atol=tolerance * float(expected.abs().max()),
        msg=lambda text: f'{name}: {text}',
    )


def assert_same_run(found, whole, tolerance):
    """The gradients of every step, and the state at the end, are those of ``whole``."""
    assert found.mixed == whole.mixed
    assert len(found.gradients) == len(whole.gradients) == STEPS
    for step, expected in enumerate(whole.gradients):
        assert all(gradient.any() for gradient in expected.values())
        for name, gradient in expected.items():
            assert_close(found.gradients[step][name], gradient, tolerance, f'step {step}, {name}')
    assert found.state.keys() == whole.state.keys()
    for name, value in whole.state.items():
        assert_close(found.state[name], value, tolerance, name)
