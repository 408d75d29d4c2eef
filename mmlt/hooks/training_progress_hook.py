"""Components learn where the run is; the log learns the parts of their losses."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmpretrain.registry import HOOKS
from torch import nn

from .runner_parts import components_with, shared_seed, unwrap

__all__ = ['TrainingProgressHook']


@HOOKS.register_module()
class TrainingProgressHook(Hook):
    """Tells components the epoch and iteration, and logs the parts of composite losses.

    Before every training iteration it calls ``set_progress(epoch, max_epochs, iteration, seed)`` of
    each model part and batch augment that defines it. What is drawn from seed and iteration is
    then the same in a resumed run and on any number of ranks. Where a run begins, with weights of
    another one or without, it calls ``begin_run()``, also on the copy of ``EMAHook``: what was
    learned of other data is forgotten. A method that returns True has forgotten something, which
    the log says.

    After each iteration, each loss module that keeps ``loss_parts`` (name to 0-dimensional tensor)
    has them written into the log as ``train/<name>``, so that ``loss_cls`` and ``loss_car`` are
    visible with any MMPretrain head. After each epoch, the imbalance ratio of the prior that an
    effective prior has learned is written as ``effective_prior/imbalance_ratio``: next to that of
    the class counts it tells how far a sampler or a mixing balances.

    Raises:
        ValueError: before training in a loop without epochs, if a part ``needs_epochs``.

    Example:
        >>> custom_hooks = [dict(type='TrainingProgressHook')]
    """

    priority = 'NORMAL'
    _collected = False

    def before_train(self, runner: Runner) -> None:
        """Begin the run."""
        self._seed = shared_seed(runner)
        self._collect(runner)
        for part in self._progressive:
            if getattr(part, 'needs_epochs', False) and not isinstance(
                runner.train_loop, EpochBasedTrainLoop
            ):
                raise ValueError(
                    f'train_cfg: expected by_epoch=True, since {type(part).__name__} forgets what '
                    f'is older than an epoch, got {type(runner.train_loop).__name__}'
                )
        if runner.iter == 0:
            self._begin_run(runner)

    def _begin_run(self, runner: Runner) -> None:
        components = components_with(runner, 'begin_run')
        for hook in runner.hooks:  # EMAHook has loaded the weights into its copy as well
            copy = getattr(hook, 'ema_model', None)
            if isinstance(copy, nn.Module):
                components += [part for part in copy.modules() if hasattr(part, 'begin_run')]
        forgetful = {type(part).__name__ for part in components if part.begin_run()}
        if forgetful:
            runner.logger.info(
                'A run begins: what was learned of other data, and came with the loaded weights, '
                f'is forgotten by {", ".join(sorted(forgetful))}'
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Look for the components again before the first iteration: ``SwitchRecipeHook``
        exchanges losses and batch augments."""
        self._collected = False

    def _collect(self, runner: Runner) -> None:
        self._progressive = components_with(runner, 'set_progress')
        self._composite: list[Any] = [
            module for module in unwrap(runner.model).modules() if hasattr(module, 'loss_parts')
        ]

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Announce the iteration that is about to run; samplers hear of epochs elsewhere."""
        if not self._collected:
            self._collect(runner)
            self._collected = True
        for component in self._progressive:
            component.set_progress(
                epoch=runner.epoch,
                max_epochs=runner.max_epochs,
                iteration=runner.iter,
                seed=self._seed,
            )

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Publish loss parts. MMEngine has read the loss of this step already, which was the
        wait for the device; these scalars lie ready."""
        for module in self._composite:
            for name, value in module.loss_parts.items():
                runner.message_hub.update_scalar(f'train/{name}', value)

    def after_train_epoch(self, runner: Runner) -> None:
        """Publish the effective prior; all ranks hold the same, rank 0 writes."""
        if not is_main_process():
            return
        for module in unwrap(runner.model).modules():
            prior = getattr(module, 'running_prior', None)
            if isinstance(prior, torch.Tensor):
                seen = prior[prior > 0]
                if len(seen):
                    ratio = float(seen.max() / seen.min())
                    scalars = {'effective_prior/imbalance_ratio': ratio}
                    runner.visualizer.add_scalars(scalars, step=runner.iter)
                return
