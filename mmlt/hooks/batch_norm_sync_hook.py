"""One BatchNorm on all ranks before it is evaluated and saved."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmlt.functional.distributed import all_reduce_sum, get_world_size

from .runner_parts import saves_within_epoch, unwrap

__all__ = ['BatchNormSyncHook']


@HOOKS.register_module()
class BatchNormSyncHook(Hook):
    """Averages the running statistics of BatchNorm over ranks before they are saved.

    That is at the end of each epoch, and before each checkpoint within one.

    Each rank estimates them from its own images, and rank 0 alone is saved: without averaging,
    validation while training on several ranks differs from a test of the checkpoint. Unlike
    MMEngine's ``SyncBuffersHook`` it leaves all other buffers alone, which are either equal on
    all ranks already (a confusion estimate, as large as the classes squared) or integers. The
    averaged model of an ``EMAHook``, which is what is then saved, is treated likewise.

    Example:
        >>> default_hooks = dict(batch_norm_sync=dict(type='BatchNormSyncHook'))
    """

    priority = 'NORMAL'

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Average before a checkpoint within an epoch; the order of averages changes nothing."""
        if saves_within_epoch(runner):
            self.before_save_within_epoch(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Average before the epoch is evaluated and saved."""
        self.before_save_within_epoch(runner)

    def before_save_within_epoch(self, runner: Runner) -> None:
        """Average in one collective; nothing to do on a single rank."""
        averaged = [getattr(hook, 'ema_model', None) for hook in runner.hooks]
        statistics = [
            buffer
            for model in (unwrap(runner.model), *averaged)
            if isinstance(model, nn.Module)
            for module in model.modules()
            if isinstance(module, _BatchNorm)
            for buffer in (module.running_mean, module.running_var)
            if buffer is not None
        ]
        if get_world_size() == 1 or not statistics:
            return
        mean = all_reduce_sum(torch.cat(statistics)) / get_world_size()
        with torch.no_grad():
            parts = mean.split([buffer.numel() for buffer in statistics])
            for buffer, value in zip(statistics, parts, strict=True):
                buffer.copy_(value)
