r"""The step behind CAR's loss: update the confusion estimate in place, and its norm's gradient.

What is differentiated is :math:`\|\operatorname{diag}(w)\,C_t\|_2` with respect to the logits of
the current batch. Only the rows of the batch carry gradient, and with the leading singular
vectors held constant it is known as soon as the norm is. So the forward pass computes it on the
spot, in a few ``(N, K)`` arrays, and no ``(K, K)`` array beside the estimate is ever made.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .confusion_state import ConfusionOptions, ConfusionState
from .label_pairs import LabelPairs, pair_shares
from .lanczos import start_from_rows
from .spectral import leading_singular_triplet

__all__ = ['confusion_norm_']


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
        norm: Tensor = _ConfusionNorm.apply(  # type: ignore[no-untyped-call]
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
    used = valid.to(state.confusion.dtype)
    step = slope = used * (1 - options.beta)
    keep = used * options.beta + (1 - used)
    if options.start == 'first_batch':
        later = (state.num_updates > 0).to(used.dtype)
        step = later * step + (1 - later) * used
        keep, slope = later * keep + (1 - later) * (1 - used), later * slope
    return keep, step, slope


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

    The leading direction jumps when a rare class comes or goes, so the previous one is not
    enough.
    """
    fresh = state.confusion.index_select(0, labels)
    return state.right_vector + start_from_rows(fresh, row_weights.index_select(0, labels))


def _rows_gradient_(gate: Tensor, softmax: Tensor, rows: Tensor, labels: Tensor, right: Tensor,
                    options: ConfusionOptions) -> Tensor:
    r"""Gradient of ``rows @ right`` in the logits, ``(P, K)``; overwrites its first three
    arguments.

    Through the softmax it is :math:`(r_i v_i - s_i \sum_k r_k v_k) / T`, through the gate
    :math:`r_i v_i (1 - g_i)`, and at the true class, which the gate subtracts, minus the sum of
    the latter (``r`` rows, ``g`` gate, ``s`` softmax, ``v`` right singular vector). The baseline
    of the softmax has no gradient, so that ``detach_baseline`` has nothing to do here.
    """
    seen = rows.mul_(right)
    grad = softmax.mul_(seen.sum(dim=1, keepdim=True)).neg_().add_(seen).div_(options.temperature)
    if not options.detach_gate:
        through_gate = gate.neg_().add_(1).mul_(seen)
        grad.add_(through_gate)
        grad.scatter_add_(1, labels[:, None], -through_gate.sum(dim=1, keepdim=True))
    return grad
