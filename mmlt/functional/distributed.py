r"""Collectives that keep W ranks equal to one process: gathering with gradient, and summing."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from .checks import check_flag, refuse

__all__ = ['all_reduce_sum', 'gather_with_grad', 'get_world_size']


def get_world_size() -> int:
    """Number of ranks.

    Returns:
        That of the default process group; 1 without one.
    """
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def all_reduce_sum(tensor: Tensor) -> Tensor:
    """Sum over ranks, without gradient, in a new tensor.

    Args:
        tensor: any shape, the same on every rank.

    Returns:
        The sum; a detached copy of ``tensor`` without a process group.

    Example:
        >>> all_reduce_sum(torch.ones(2))
        tensor([1., 1.])
    """
    total = tensor.detach().clone()
    if get_world_size() > 1:
        dist.all_reduce(total)
    return total


class _GatherWithGrad(torch.autograd.Function):
    """Pads every rank's rows to the longest, gathers, cuts the padding off."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, sizes: list[int]) -> Tensor:
        rank = dist.get_rank()
        ctx.start, ctx.size = sum(sizes[:rank]), sizes[rank]
        longest = max(sizes)
        padded = tensor
        if tensor.shape[0] < longest:
            padded = tensor.new_zeros(longest, *tensor.shape[1:])
            padded[: tensor.shape[0]] = tensor
        parts = [torch.empty_like(padded, memory_format=torch.contiguous_format) for _ in sizes]
        dist.all_gather(parts, padded.contiguous())
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        total = grad.contiguous().clone()
        dist.all_reduce(total)
        return total[ctx.start : ctx.start + ctx.size], None


def gather_with_grad(tensor: Tensor, equal_sizes: bool = False) -> Tensor:
    """Concatenation of every rank's rows, in rank order, with gradient.

    The backward pass sums the gradients of all ranks and returns the rows of this one. A loss
    that every rank computes alike from the gathered tensor therefore has, after the averaging
    of DistributedDataParallel, exactly the gradient of one process with the whole batch.

    Args:
        tensor: ``(N, ...)``; ``N`` may differ between ranks, the other dimensions may not.
            Integer tensors are gathered without gradient.
        equal_sizes: promise that ``N`` is the same on every rank, as in the batches of a training
            loader. It saves the exchange of the sizes, and the wait of the CPU for them.

    Returns:
        ``(N_0 + N_1 + ..., ...)``; ``tensor`` itself without a process group.

    Example:
        >>> gather_with_grad(torch.arange(3))
        tensor([0, 1, 2])
    """
    check_flag('equal_sizes', equal_sizes)
    if tensor.ndim == 0:
        raise refuse('tensor', 'at least one dimension', tuple(tensor.shape))
    world_size = get_world_size()
    if world_size == 1:
        return tensor
    if equal_sizes:
        sizes = [tensor.shape[0]] * world_size
    else:
        local = torch.tensor([tensor.shape[0]], device=tensor.device)
        gathered = [torch.empty_like(local) for _ in range(world_size)]
        dist.all_gather(gathered, local)
        # The lengths shape the result, so the CPU has to know them: `equal_sizes` avoids it.
        sizes = [int(size) for size in torch.cat(gathered).cpu()]
    rows: Tensor = _GatherWithGrad.apply(tensor, sizes)  # type: ignore[no-untyped-call]
    return rows
