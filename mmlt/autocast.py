"""Mixed precision without a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from mmpretrain.registry import OPTIM_WRAPPERS
from torch import nn

from mmlt.functional.checks import check_integer, check_number, refuse

__all__ = ['CPUAutocastOptimWrapper']


@OPTIM_WRAPPERS.register_module()
class CPUAutocastOptimWrapper(OptimWrapper):
    """Optimises a forward pass in bfloat16 autocast on the CPU.

    MMEngine's ``AmpOptimWrapper`` insists on an accelerator. bfloat16 has the range of float32,
    so no loss scaling takes place. ``tools/train.py --amp`` chooses this wrapper where there is
    no GPU, and logs it.

    Args:
        optimizer: what updates the parameters.
        accumulative_counts: iterations whose gradients are summed before an update.
        clip_grad: ``dict(max_norm=...)`` or ``dict(type='value', clip_value=...)``, with further
            arguments of torch's function; None: gradients are not clipped.

    Example:
        >>> parameter = nn.Parameter(torch.zeros(1))
        >>> wrapper = CPUAutocastOptimWrapper(torch.optim.SGD([parameter], lr=0.1))
        >>> with wrapper.optim_context(nn.Identity()):
        ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
        torch.bfloat16
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        accumulative_counts: int = 1,
        clip_grad: dict[str, Any] | None = None,
    ) -> None:
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise refuse('optimizer', 'an optimizer of torch', optimizer)
        check_integer('accumulative_counts', accumulative_counts, '[1, inf)')
        if clip_grad is not None:
            limits = clip_grad if isinstance(clip_grad, dict) else {}
            key = 'clip_value' if limits.get('type') == 'value' else 'max_norm'
            if key not in limits:
                expected = "dict(max_norm=...) or dict(type='value', clip_value=...)"
                raise refuse('clip_grad', expected, clip_grad)
            check_number(f'clip_grad.{key}', limits[key], '(0, inf)')
        super().__init__(optimizer, accumulative_counts, clip_grad)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast around the forward pass, beside MMEngine's gradient accumulation."""
        with super().optim_context(model), torch.autocast('cpu', torch.bfloat16):
            yield
