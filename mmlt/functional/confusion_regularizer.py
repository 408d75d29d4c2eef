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


def confusion_norm_(
    logits: Tensor,
    pairs: LabelPairs,
    state: ConfusionState,
    row_weights: Tensor,
    options: ConfusionOptions | None = None,
) -> Tensor:
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
            logits, pairs, state, row_weights, options or ConfusionOptions()
        )
    return norm


class _ConfusionNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        pairs: LabelPairs,
        state: ConfusionState,
        row_weights: Tensor,
        options: ConfusionOptions,
    ) -> Tensor:
        pairs, valid = _fit_pairs(logits, pairs, state.confusion.shape[0])
        labels, shares = pairs.labels.reshape(-1), pair_shares(pairs, state.confusion.shape[0])
        gate, softmax = _gate_and_softmax(logits, valid, labels, pairs.labels.shape[1], options)
        keep, step, carry = _factors(valid, state, options)
        parts = (shares * step)[:, None]
        rows = (gate * softmax).mul_(parts)

        _blend_rows_(state.confusion, rows, labels, parts, keep, options.absent_classes)
        triplet = leading_singular_triplet(
            state.confusion,
            row_weights,
            _start_vector(state, labels, row_weights),
            options.exact,
            options.max_steps,
            options.tolerance,
        )
        state.left_vector.copy_(triplet.left)
        state.right_vector.copy_(triplet.right)
        state.norm.copy_(triplet.value)
        state.num_updates.add_(valid)
        state.num_skipped.add_(~valid)

        if ctx.needs_input_grad[0]:
            pull = carry * (row_weights * triplet.left).index_select(0, labels)
            grad = _rows_gradient_(gate, softmax, rows, labels, triplet.right, options)
            grad.mul_(pull[:, None])
            ctx.save_for_backward(
                grad.view(logits.shape[0], -1, logits.shape[1]).sum(dim=1)
                if pairs.labels.shape[1] > 1
                else grad
            )
        return triplet.value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_norm: Tensor) -> tuple[Tensor, None, None, None, None]:
        (grad,) = ctx.saved_tensors
        return grad * grad_norm, None, None, None, None


def _fit_pairs(logits: Tensor, pairs: LabelPairs, num_classes: int) -> tuple[LabelPairs, Tensor]:
    """Pairs that can be computed with, and whether the batch may be used (0-dimensional bool)."""
    labels, scores = pairs.labels, pairs.scores.to(logits.dtype)
    in_range = ((labels >= 0) & (labels < num_classes)).all()
    # One NaN or Inf makes the sum NaN or Inf; isfinite() of the whole array would copy it.
    valid = torch.isfinite(logits.sum()) & torch.isfinite(scores.sum()) & in_range
    scores = torch.where(valid, scores, torch.zeros_like(scores))
    return LabelPairs(labels.clamp(0, num_classes - 1), scores), valid


def _gate_and_softmax(
    logits: Tensor, valid: Tensor, labels: Tensor, labels_per_image: int, options: ConfusionOptions
) -> tuple[Tensor, Tensor]:
    """The two factors of :func:`confusion_rows`; the gate is 0 at the true class."""
    gate = torch.where(valid, logits, torch.zeros_like(logits[:1]))
    softmax = torch.softmax(gate if options.temperature == 1 else gate / options.temperature, dim=1)
    if labels_per_image > 1:
        gate = gate.repeat_interleave(labels_per_image, dim=0)
        softmax = softmax.repeat_interleave(labels_per_image, dim=0)
    column = labels[:, None]
    gate.sub_(gate.gather(1, column) - options.margin).sigmoid_().scatter_(1, column, 0.0)
    return gate, softmax


def _factors(
    valid: Tensor, state: ConfusionState, options: ConfusionOptions
) -> tuple[Tensor, Tensor, Tensor]:
    """Factors of the past and of the batch, and 0 or 1 for its gradient; 0-dimensional."""
    used = valid.to(state.confusion.dtype)
    keep = used * options.beta + (1 - used)
    step = used * (1 - options.beta)
    carry = torch.ones_like(used)
    if options.start == 'first_batch':
        carry = (state.num_updates > 0).to(used.dtype)
        keep = carry * keep + (1 - carry) * (1 - used)
        step = carry * step + (1 - carry) * used
    return keep, step, carry


def _blend_rows_(
    confusion: Tensor,
    rows: Tensor,
    labels: Tensor,
    parts: Tensor,
    keep: Tensor,
    absent_classes: str,
) -> None:
    """Blend the images' ``rows`` into those of their classes; ``parts`` is their share in that.

    In ``hold`` each image moves its row towards its own contribution. The parts of a present
    class sum to ``1 - beta``, so its row moves as in ``decay``, and all others stay.
    """
    if absent_classes == 'decay':
        confusion.mul_(keep)
    else:
        rows = confusion.index_select(0, labels).mul_(-parts).add_(rows)
    confusion.index_add_(0, labels, rows)


def _start_vector(state: ConfusionState, labels: Tensor, row_weights: Tensor) -> Tensor:
    """Previous right singular vector plus the directions in which the batch can have moved it.

    The leading direction jumps when a rare class comes or goes, so the previous one is not
    enough.
    """
    fresh = state.confusion.index_select(0, labels)
    return state.right_vector + start_from_rows(fresh, row_weights.index_select(0, labels))


def _rows_gradient_(
    gate: Tensor,
    softmax: Tensor,
    rows: Tensor,
    labels: Tensor,
    right: Tensor,
    options: ConfusionOptions,
) -> Tensor:
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
