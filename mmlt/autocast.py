"""Mixed precision without a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from mmpretrain.registry import OPTIM_WRAPPERS
from torch import nn

__all__ = ['CPUAutocastOptimWrapper']


@OPTIM_WRAPPERS.register_module()
class CPUAutocastOptimWrapper(OptimWrapper):
    """Optimises a forward pass in bfloat16 autocast on the CPU.

    MMEngine's ``AmpOptimWrapper`` insists on an accelerator. bfloat16 has the range of float32,
    so no loss scaling takes place. ``tools/train.py --amp`` chooses this wrapper where there is
    no GPU, and says so.

    Example:
        >>> parameter = nn.Parameter(torch.zeros(1))
        >>> wrapper = CPUAutocastOptimWrapper(torch.optim.SGD([parameter], lr=0.1))
        >>> with wrapper.optim_context(nn.Identity()):
        ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
        torch.bfloat16
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast around the forward pass, beside MMEngine's gradient accumulation."""
        with super().optim_context(model), torch.autocast('cpu', torch.bfloat16):
            yield
