"""The losses of several experts, each with a state of its own."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from mmpretrain.registry import MODELS
from torch import Tensor, nn

__all__ = ['ExpertLosses']


class ExpertLosses(nn.ModuleList):
    """One loss module for each expert; stands where other heads have their ``loss_module``.

    Takes the modules, as ``nn.ModuleList`` does.

    Example:
        >>> losses = ExpertLosses.build(dict(type='CrossEntropyLoss'), num_experts=2)
        >>> len(losses)
        2
    """

    @classmethod
    def build(cls, loss: Any, num_experts: int) -> ExpertLosses:
        """From configs or modules.

        Args:
            loss: config or module of one loss, built (or copied) once for each expert, or a list
                of one for each expert.
            num_experts: ``E``.

        Raises:
            TypeError: if a loss is neither a config nor a module.
            ValueError: if a list has another length than ``E``.
        """
        if isinstance(loss, (dict, nn.Module)):
            loss = [loss] * num_experts
        if not isinstance(loss, Sequence) or len(loss) != num_experts:
            raise ValueError(
                f'loss: expected one loss, or a list of {num_experts} for '
                f'num_experts={num_experts}, got {loss!r}'
            )
        return cls([_own(part) for part in loss])

    def forward(self, cls_score: Tensor, target: Tensor, **kwargs: Any) -> list[Tensor]:
        """The loss of each expert.

        Args:
            cls_score: ``(E, N, K)`` logits.
            target: ``(N,)`` integers or ``(N, K)`` scores, the same for all experts.
            **kwargs: for the losses, for example ``avg_factor``.

        Returns:
            ``E`` losses.
        """
        return [
            loss(logits, target, **kwargs) for loss, logits in zip(self, cls_score, strict=True)
        ]


def _own(loss: Any) -> nn.Module:
    if isinstance(loss, nn.Module):
        return copy.deepcopy(loss)
    if isinstance(loss, dict):
        built: nn.Module = MODELS.build(loss)
        return built
    raise TypeError(f'loss: expected configs or modules, got {type(loss).__name__}')
