"""Sharpness-aware minimisation: every iteration takes its gradient a step uphill."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from mmpretrain.registry import HOOKS
from torch import Tensor, nn

from mmlt.datasets.samplers.positions import generator_states, set_generator_states
from mmlt.functional.checks import check_number
from mmlt.functional.sam import ascent_step
from mmlt.models.losses.confusion_pair_counts import ConfusionPairCounts

from .runner_parts import components_with, in_shards

__all__ = ['SAMHook']


@HOOKS.register_module()
class SAMHook(Hook):
    r"""Takes the gradient at the worst point nearby, so that training ends in a flat minimum.

    An iteration has two forward and backward passes: the first gives the direction uphill, the
    second the gradient there, with which the optimiser steps from where it was. Both passes see
    the same images, mixed with the same partners, and the same masks of dropout. BatchNorm's
    statistics, CAR's confusion, priors and counted pairs move once, by the first. Works with any
    loss and mixing, optimiser, loss scaling, gradient accumulation (each part of a batch has a step
    of its own) and processes (the direction is that of the global batch).

    Args:
        rho: length of the step, above 0, in units of the weights; 0.05 in the paper.

    Raises:
        ValueError: if ``rho`` is out of range; before training, if there are several optimisers
            or the weights are split over processes (FSDP).

    Reference:
        Foret et al., Sharpness-Aware Minimization for Efficiently Improving Generalization, ICLR
        2021; Rangwani et al., Escaping Saddle Points for Effective Generalization on
        Class-Imbalanced Data, NeurIPS 2022, for long tails.

    Example:
        >>> custom_hooks = [dict(type='SAMHook', rho=0.05)]
    """

    # After SwitchRecipeHook (NORMAL), which can exchange the batch augments.
    priority = 'BELOW_NORMAL'

    def __init__(self, rho: float = 0.05) -> None:
        self.rho = check_number('rho', rho, '(0, inf)')

    def before_train(self, runner: Runner) -> None:
        """Put the step of two passes in place of the model's own."""
        if isinstance(runner.optim_wrapper, OptimWrapperDict):
            raise ValueError('SAMHook: expected one optimiser, got several (OptimWrapperDict)')
        if in_shards(runner):
            raise ValueError('SAMHook: expected whole weights in each process, got FSDP')
        # A run that an error ended has left its own there.
        if isinstance(runner.model.train_step, _TwoPasses):
            runner.model.train_step.give_back()
        self._step = _TwoPasses(runner.model, self.rho)
        runner.model.train_step = self._step

    def before_train_epoch(self, runner: Runner) -> None:
        """Look for what draws by seed and iteration."""
        self._step.draws = components_with(runner, 'rewind')

    def after_train(self, runner: Runner) -> None:
        """Give the model its own step back."""
        self._step.give_back()


class _Ascent:
    """Stands for the optimiser in the first pass: gradients, on all ranks, and no step."""

    def __init__(self, optim_wrapper: OptimWrapper) -> None:
        self.optim_wrapper = optim_wrapper

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        del model  # whose `no_sync` would leave gradients on their ranks while accumulating
        with self.optim_wrapper.optim_context(nn.Identity()):
            yield

    def update_params(self, loss: Tensor) -> None:
        self.optim_wrapper.backward(loss)
        self.optim_wrapper._inner_count -= 1  # no iteration of its own


class _TwoPasses:
    """``train_step`` of a model."""

    def __init__(self, model: nn.Module, rho: float) -> None:
        # A plain attribute of the module stands before the method of its class, as a compiled one.
        self.compiled = 'train_step' in vars(model)
        own_step: Any = model.train_step
        self.own_step: Callable[..., dict[str, Tensor]] = own_step
        self.model: Any = model
        self.rho = rho
        self.draws: list[Any] = []  # what can draw once more, with `rewind()`

    def give_back(self) -> None:
        """The model's own step in place of this one."""
        del self.model.train_step
        if self.compiled:
            self.model.train_step = self.own_step

    def __call__(self, data: Any, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        states, before = _random_states(), _buffers(self.model)
        device = next(self.model.parameters()).device
        with _gradients_apart(self.model):
            outputs = self.own_step(_copied(data, device), optim_wrapper=_Ascent(optim_wrapper))
            slopes = {w: w.grad for w in self.model.parameters() if w.grad is not None}
        after = _buffers(self.model)
        _set_random_states(states)
        _set_buffers(self.model, before)
        del before
        for part in self.draws:
            part.rewind()
        logging: list[Any] = [m for m in self.model.modules() if hasattr(m, 'loss_parts')]
        logged = [module.loss_parts for module in logging]
        with _uncounted(self.model), _uphill(optim_wrapper, slopes, self.rho):
            self.own_step(data, optim_wrapper=optim_wrapper)
        _set_buffers(self.model, after)
        for module, parts in zip(logging, logged, strict=True):
            module.loss_parts = parts
        return outputs


@contextmanager
def _gradients_apart(model: nn.Module) -> Iterator[None]:
    """What has been accumulated so far waits outside."""
    kept = [(weight, weight.grad) for weight in model.parameters()]
    for weight, _ in kept:
        weight.grad = None
    try:
        yield
    finally:
        for weight, gradient in kept:
            weight.grad = gradient


@contextmanager
def _uphill(
    optim_wrapper: OptimWrapper, slopes: dict[nn.Parameter, Tensor], rho: float
) -> Iterator[None]:
    """The weights a step uphill, until the gradient there is known, or an error ends the pass.

    Empties ``slopes``: during the second pass only the weights are in memory once more.
    """
    own, here = optim_wrapper.backward, {weight: weight.detach().clone() for weight in slopes}
    steps = ascent_step(list(slopes.values()), rho)
    slopes.clear()
    with torch.no_grad():
        for weight in here:
            weight.add_(steps.pop(0))

    def go_back() -> None:
        with torch.no_grad():
            for weight, value in here.items():
                weight.copy_(value)

    def backward(loss: Tensor, **kwargs: Any) -> None:
        own(loss, **kwargs)
        go_back()

    optim_wrapper.backward = backward
    try:
        yield
    except BaseException:
        go_back()
        raise
    finally:
        del optim_wrapper.backward


@contextmanager
def _uncounted(model: nn.Module) -> Iterator[None]:
    """Confused pairs are counted in training only; the counts are too large to be copied."""
    counters = [m for m in model.modules() if isinstance(m, ConfusionPairCounts) and m.training]
    for counter in counters:
        counter.training = False
    try:
        yield
    finally:
        for counter in counters:
            counter.training = True


def _buffers(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.named_buffers()}


def _set_buffers(model: nn.Module, values: Mapping[str, Tensor]) -> None:
    for name, tensor in model.named_buffers():
        if name in values:
            tensor.copy_(values[name])


def _copied(batch: Any, device: torch.device) -> Any:
    """A batch that a preprocessor may write into, as MMPretrain's ``CutMix`` does.

    Images elsewhere than on the device of the model are shared: they are copied to it anyway.
    """
    if isinstance(batch, BaseDataElement):
        return batch.clone()
    if isinstance(batch, Tensor):
        return batch.clone() if batch.device == device else batch
    if isinstance(batch, Mapping):
        return {key: _copied(part, device) for key, part in batch.items()}
    if isinstance(batch, (list, tuple)):
        parts = [_copied(part, device) for part in batch]
        return type(batch)(*parts) if hasattr(batch, '_fields') else type(batch)(parts)
    return batch


def _random_states() -> tuple[Any, ...]:
    device = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return generator_states(), device


def _set_random_states(states: tuple[Any, ...]) -> None:
    of_cpu, of_device = states
    set_generator_states(of_cpu)
    if of_device is not None:
        torch.cuda.set_rng_state(of_device)
