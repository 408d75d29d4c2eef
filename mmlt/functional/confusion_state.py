r"""Options and state of the confusion estimate behind CAR's loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ['ConfusionOptions', 'ConfusionState']


@dataclass(frozen=True)
class ConfusionOptions:
    """How the estimate moves, and what carries gradient.

    Args:
        beta: memory of the moving average, in ``[0, 1)``.
        margin: added inside the sigmoid, in units of a logit.
        temperature: of the softmax, positive.
        absent_classes: ``'decay'`` or ``'hold'``, see :func:`blend_confusion`.
        start: ``'zero'`` (paper), or ``'first_batch'``: the first batch is taken over as it is
            and carries no gradient (released code).
        detach_gate: no gradient through the sigmoid.
        detach_baseline: of no effect, see :func:`confusion_rows`.
        exact: singular value decomposition in every step; for small ``K`` and tests.
        max_steps: Lanczos steps, see :func:`spectral_norm`.
        tolerance: residual at which a CPU stops.

    Raises:
        ValueError: if a value is out of range.

    Example:
        >>> ConfusionOptions(beta=0.9).absent_classes
        'decay'
    """

    beta: float = 0.5
    margin: float = 0.0
    temperature: float = 1.0
    absent_classes: str = 'decay'
    start: str = 'zero'
    detach_gate: bool = False
    detach_baseline: bool = False
    exact: bool = False
    max_steps: int | None = None
    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        if not 0 <= self.beta < 1:
            raise ValueError(f'beta: expected a number in [0, 1), got {self.beta}')
        if not self.temperature > 0:
            raise ValueError(f'temperature: expected a positive number, got {self.temperature}')
        if self.absent_classes not in ('decay', 'hold'):
            raise ValueError(
                f"absent_classes: expected 'decay' or 'hold', got {self.absent_classes!r}"
            )
        if self.start not in ('zero', 'first_batch'):
            raise ValueError(f"start: expected 'zero' or 'first_batch', got {self.start!r}")


class ConfusionState(NamedTuple):
    """The tensors that a step writes to. They never change shape.

    Args:
        confusion: ``(K, K)``, ``confusion[true, predicted]``.
        left_vector: ``(K,)`` leading left singular vector of the weighted matrix.
        right_vector: ``(K,)`` leading right one: where the next step starts.
        norm: scalar, the last spectral norm.
        num_updates: scalar int64, batches taken in.
        num_skipped: scalar int64, batches left out (NaN, Inf, labels out of range).

    Example:
        >>> ConfusionState.zeros(3).confusion.shape
        torch.Size([3, 3])
    """

    confusion: Tensor
    left_vector: Tensor
    right_vector: Tensor
    norm: Tensor
    num_updates: Tensor
    num_skipped: Tensor

    @classmethod
    def zeros(cls, num_classes: int, dtype: torch.dtype = torch.float32) -> ConfusionState:
        """The state before the first batch.

        Args:
            num_classes: ``K``.
            dtype: of everything but the counters.

        Returns:
            All zero, on the CPU.
        """
        matrix = torch.zeros(num_classes, num_classes, dtype=dtype)
        counter = torch.zeros((), dtype=torch.int64)
        return cls(
            matrix,
            matrix.new_zeros(num_classes),
            matrix.new_zeros(num_classes),
            matrix.new_zeros(()),
            counter,
            counter.clone(),
        )
