"""Memory layout that convolutions prefer."""

from __future__ import annotations

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from .runner_parts import unwrap

__all__ = ['ChannelsLastHook']


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Stores convolution weights channels-last, which their outputs then follow.

    Results are the same up to rounding. On a CPU a ResNet-32 step becomes about 1.3 times
    faster, with bfloat16 autocast more than twice; on recent GPUs autocast gains as well.

    Example:
        >>> custom_hooks = [dict(type='ChannelsLastHook')]
    """

    def before_run(self, runner: Runner) -> None:
        """Convert the model in place."""
        # torch's stubs of Module.to lack the memory format.
        unwrap(runner.model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
