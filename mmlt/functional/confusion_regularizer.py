r"""The step behind CAR's loss: update the confusion estimate in place, and its norm's gradient.

What is differentiated is :math:`\|\operatorname{diag}(w)\,C_t\|_2` with respect to the logits of
the current batch. Only the rows of the batch carry gradient, and with the leading singular
vectors held constant it is known as soon as the norm is. So the forward pass computes it on the
spot, in a few ``(N, K)`` arrays, and no ``(K, K)`` array beside the estimate is ever made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .confusion import LabelPairs, pair_shares
from .spectral import leading_singular_triplet

__all__ = ['ConfusionOptions', 'ConfusionState', 'confusion_norm_']

NEW_ROWS = 0.3  # parts of the start vector, relative to the previous singular vector
STRONGEST_ROW = 0.3
UNIFORM = 0.3


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
        detach_baseline: no gradient through the logit of the true class.
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
                f"absent_classes: expected 'decay' or 'hold', got {self.absent_classes!r}")
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
        """The state before the first batch."""
        matrix = torch.zeros(num_classes, num_classes, dtype=dtype)
        counter = torch.zeros((), dtype=torch.int64)
        return cls(matrix, matrix.new_zeros(num_classes), matrix.new_zeros(num_classes),
                   matrix.new_zeros(()), counter, counter.clone())


def confusion_norm_(logits: Tensor, pairs: LabelPairs, state: ConfusionState,
                    row_weights: Tensor, options: ConfusionOptions | None = None) -> Tensor:
    r"""Blend a batch into the estimate, in place, and return the weighted spectral norm.

    Args:
        logits: ``(N, K)`` of the global batch, in the estimate's dtype. A batch with NaN or Inf
            leaves the estimate as it was, has zero gradient, and is counted; no host
            synchronisation is needed for that.
        pairs: its labels, from :func:`label_pairs`.
        state: written to.
        row_weights: ``(K,)`` class weights, non-negative.
        options: defaults to the paper's.

    Returns:
        Scalar :math:`\|\operatorname{diag}(w)\,C_t\|_2`, differentiable once, in ``logits``.

    Reference:
        CAR (Zhu et al., CVPR 2026): soft confusion, its EMA and the spectral regulariser.

    Example:
        >>> state = ConfusionState.zeros(2)
        >>> pairs = LabelPairs(torch.tensor([[0]]), torch.ones(1, 1))
        >>> confusion_norm_(torch.zeros(1, 2), pairs, state, torch.ones(2))
        tensor(0.1250)
        >>> state.confusion
        tensor([[0.0000, 0.1250],
                [0.0000, 0.0000]])
    """
    with torch.autocast(logits.device.type, enabled=False):
        norm: Tensor = _ConfusionNorm.apply(
            logits, pairs, state, row_weights, options or ConfusionOptions())
    return norm


class _ConfusionNorm(torch.autograd.Function):

    @staticmethod
    def forward(ctx: Any, logits: Tensor, pairs: LabelPairs, state: ConfusionState,
                row_weights: Tensor, options: ConfusionOptions) -> Tensor:
        labels, valid = _checked_labels(logits, pairs, state.confusion.shape[0])
        pairs = LabelPairs(labels.view_as(pairs.labels), pairs.scores.to(logits.dtype))
        shares = pair_shares(pairs, state.confusion.shape[0])
        gate, softmax = _gate_and_softmax(logits, valid, labels, pairs.labels.shape[1], options)
        rows = gate * softmax
        keep, step, slope = _factors(valid, state, options)

        _blend_rows_(state.confusion, rows, labels, shares * step, keep, options.absent_classes)
        triplet = leading_singular_triplet(
            state.confusion, row_weights, _start_vector(state, labels, row_weights),
            options.exact, options.max_steps, options.tolerance)
        state.left_vector.copy_(triplet.left)
        state.right_vector.copy_(triplet.right)
        state.norm.copy_(triplet.value)
        state.num_updates.add_(valid)
        state.num_skipped.add_(~valid)

        if ctx.needs_input_grad[0]:
            pull = slope * shares * (row_weights * triplet.left).index_select(0, labels)
            grad = _rows_gradient_(gate, softmax, rows, labels, triplet.right, options)
            grad.mul_(pull[:, None])
            ctx.save_for_backward(grad.view(logits.shape[0], -1, logits.shape[1]).sum(dim=1)
                                  if pairs.labels.shape[1] > 1 else grad)
        return triplet.value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_norm: Tensor) -> tuple[Tensor, None, None, None, None]:
        (grad,) = ctx.saved_tensors
        return grad * grad_norm, None, None, None, None


def _checked_labels(logits: Tensor, pairs: LabelPairs, num_classes: int) -> tuple[Tensor, Tensor]:
    """Labels within range, and whether the batch is fit to be used (0-dimensional bool)."""
    labels = pairs.labels.reshape(-1)
    in_range = ((labels >= 0) & (labels < num_classes)).all()
    # One NaN or Inf makes the sum NaN or Inf; isfinite() of the whole array would copy it.
    finite = torch.isfinite(logits.sum()) & torch.isfinite(pairs.scores.sum())
    return labels.clamp(0, num_classes - 1), finite & in_range


def _gate_and_softmax(logits: Tensor, valid: Tensor, labels: Tensor, labels_per_image: int,
                      options: ConfusionOptions) -> tuple[Tensor, Tensor]:
    """The two factors of :func:`confusion_rows`; the gate is 0 at the true class."""
    logits = torch.where(valid, logits, torch.zeros_like(logits[:1]))
    softmax = torch.softmax(
        logits if options.temperature == 1 else logits / options.temperature, dim=1)
    if labels_per_image > 1:
        logits = logits.repeat_interleave(labels_per_image, dim=0)
        softmax = softmax.repeat_interleave(labels_per_image, dim=0)
    column = labels[:, None]
    gate = logits.sub(logits.gather(1, column) - options.margin).sigmoid_()
    return gate.scatter_(1, column, 0.0), softmax


def _factors(valid: Tensor, state: ConfusionState,
             options: ConfusionOptions) -> tuple[Tensor, Tensor, Tensor]:
    """What the past is multiplied with, the batch, and the batch's gradient; 0-dimensional."""
    dtype = state.confusion.dtype
    step = torch.where(valid, 1 - options.beta, 0.0)
    keep = torch.where(valid, options.beta, 1.0)
    slope = step
    if options.start == 'first_batch':
        first = valid & (state.num_updates == 0)
        step = torch.where(first, 1.0, step)
        keep, slope = torch.where(first, 0.0, keep), torch.where(first, 0.0, slope)
    return keep.to(dtype), step.to(dtype), slope.to(dtype)


def _blend_rows_(confusion: Tensor, rows: Tensor, labels: Tensor, parts: Tensor, keep: Tensor,
                 absent_classes: str) -> None:
    """``confusion[j] = keep * confusion[j] + sum of parts * rows of class j``, as sums over rows.

    In ``hold`` each image moves its row towards its own contribution; the parts of a present
    class sum to the step, so that the row as a whole moves as in ``decay`` and all others stay.
    """
    if absent_classes == 'decay':
        confusion.mul_(keep)
        moves = rows * parts[:, None]
    else:
        moves = confusion.index_select(0, labels).neg_().add_(rows).mul_(parts[:, None])
    confusion.index_add_(0, labels, moves)


def _start_vector(state: ConfusionState, labels: Tensor, row_weights: Tensor) -> Tensor:
    """Previous right singular vector plus the directions in which the batch can have moved it.

    The leading direction jumps when a rare class comes or goes; all its candidates must have a
    part in the start vector, since an iteration finds nothing that is orthogonal to its start.
    """
    fresh = state.confusion.index_select(0, labels)
    weights = row_weights.index_select(0, labels)
    strongest = fresh.index_select(0, (weights * fresh.norm(dim=1)).argmax().reshape(1))[0]
    uniform = torch.ones_like(strongest)
    return (state.right_vector + NEW_ROWS * _unit(weights @ fresh)
            + STRONGEST_ROW * _unit(strongest) + UNIFORM * _unit(uniform))


def _unit(vector: Tensor) -> Tensor:
    return vector / vector.norm().clamp(min=torch.finfo(vector.dtype).tiny)


def _rows_gradient_(gate: Tensor, softmax: Tensor, rows: Tensor, labels: Tensor, right: Tensor,
                    options: ConfusionOptions) -> Tensor:
    r"""Gradient of ``rows @ right`` in the logits, ``(P, K)``; overwrites its first three arguments.

    Through the softmax it is :math:`(r_i v_i - s_i \sum_k r_k v_k) / T`, through the gate
    :math:`r_i v_i (1 - g_i)`, and through the baseline minus the sum of the latter, at the true
    class (``r`` rows, ``g`` gate, ``s`` softmax, ``v`` right singular vector).
    """
    seen = rows.mul_(right)
    grad = softmax.mul_(seen.sum(dim=1, keepdim=True)).neg_().add_(seen).div_(options.temperature)
    if not options.detach_gate:
        through_gate = gate.neg_().add_(1).mul_(seen)
        grad.add_(through_gate)
        if not options.detach_baseline:
            grad.scatter_add_(1, labels[:, None], -through_gate.sum(dim=1, keepdim=True))
    return grad
