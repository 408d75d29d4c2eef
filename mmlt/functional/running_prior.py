r"""The class prior that a loss really sees: a running mean of the label mass per step."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ['blended_log_prior', 'update_running_prior']


def update_running_prior(
    prior: Tensor, mass: Tensor, steps: Tensor, momentum: float = 0.999
) -> tuple[Tensor, Tensor]:
    r"""One step of the running mean of the label mass.

    The first steps form a plain mean, in which the initial prior counts as one step; later the
    memory is exponential with rate ``1 - momentum``.

    Args:
        prior: ``(K,)``, sums to 1.
        mass: ``(K,)`` sum of the target scores of the global batch.
        steps: integer scalar tensor, steps before this one; a tensor, so that nothing waits
            for the device.
        momentum: in ``[0, 1)``.

    Returns:
        The prior ``(K,)``, which sums to 1 and is positive wherever the old one is, and the steps
        with this one. Both unchanged if ``mass`` is not finite or all zero: one overflow must not
        stay for good.

    Example:
        >>> update_running_prior(torch.tensor([0.5, 0.5]), torch.tensor([4.0, 0.0]),
        ...                      torch.tensor(0))
        (tensor([0.7500, 0.2500]), tensor(1))
    """
    rate = (1.0 / (steps + 2).to(prior.dtype)).clamp(min=1.0 - momentum)
    share = mass / mass.sum()
    counts = share.isfinite().all()
    return torch.where(counts, prior + rate * (share - prior), prior), steps + counts


def blended_log_prior(train_log_prior: Tensor, running_prior: Tensor, blend: float) -> Tensor:
    r"""Interpolation of log priors, :math:`(1-b) \log \pi^{train} + b \log \pi^{running}`.

    Args:
        train_log_prior: ``(K,)``; ``-inf`` for a class that is left out.
        running_prior: ``(K,)``.
        blend: ``b`` in ``[0, 1]``.

    Returns:
        ``(K,)``; ``-inf`` where ``train_log_prior`` is.

    Example:
        >>> blended_log_prior(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]), 1.0).exp()
        tensor([0.9000, 0.1000])
    """
    tiny = torch.finfo(running_prior.dtype).tiny
    blended = torch.lerp(
        train_log_prior.clamp(min=-1e4), running_prior.clamp(min=tiny).log(), blend
    )
    return blended.masked_fill(train_log_prior == -torch.inf, -torch.inf)
