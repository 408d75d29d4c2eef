"""Soft, differentiable class confusion of a batch, its moving average, and the average's norm.

A hard confusion matrix has no gradient; CAR therefore weighs how close each wrong class came.
:func:`soft_confusion` is the equation, :func:`confusion_norm_` the training step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..checks import check_choice, check_flag, check_integer, check_number, refuse
from ..targets import check_classes
from .lanczos import start_from_rows
from .spectral import leading_singular_triplet

__all__ = [
    'ConfusionOptions',
    'ConfusionState',
    'LabelPairs',
    'confusion_norm_',
    'label_pairs',
    'soft_confusion',
    'top_confused_pairs',
]


def _confusion_rows(
    logits: Tensor, labels: Tensor, margin: float, temperature: float, detach_gate: bool
) -> Tensor:
    r"""What each image adds to the confusion row of its class: ``(P, K)`` in ``[0, 1]``.

    .. math:: \sigma(m + f_i - f_y) \cdot \operatorname{softmax}(f / T)_i, \quad 0 \text{ at } i = y
    """
    # Indexing keeps no reference to the logits for its gradient; gather does.
    own = logits[torch.arange(len(labels), device=labels.device), labels]
    gate = (logits + (margin - own)[:, None]).sigmoid_()
    if detach_gate:
        gate = gate.detach()
    probability = torch.softmax(logits if temperature == 1 else logits / temperature, dim=1)
    return (gate * probability).scatter_(1, labels[:, None], 0.0)


def soft_confusion(
    logits: Tensor,
    targets: Tensor,
    margin: float = 0.0,
    temperature: float = 1.0,
    detach_gate: bool = False,
    max_labels: int = 2,
) -> Tensor:
    r"""Soft confusion of a batch, ``confusion[true, predicted]``.

    .. math:: \tilde c_{ji} = \frac{1}{N_j} \sum_{q: y_q = j}
        \sigma(m + f_{qi} - f_{qj}) \, \operatorname{softmax}(f_q / T)_i

    Args:
        logits: ``(N, K)``.
        targets: ``(N,)`` integers in ``[0, K)``, or ``(N, K)`` scores; an image then adds to the
            row of each of its labels, in proportion to the score.
        margin: ``m``; the paper takes a small one, the released code 0.
        temperature: ``T``, positive.
        detach_gate: no gradient through the sigmoid (released code: True; paper: False).
        max_labels: labels kept of an image with soft targets, see :func:`label_pairs`.

    Returns:
        ``(K, K)``, differentiable in ``logits``; the diagonal and the rows of absent classes
        are 0.

    Reference:
        CAR (Zhu et al., CVPR 2026), soft confusion matrix. The released code stores the
        transpose. It also detaches the true logit that it subtracts inside the softmax, which
        changes nothing: a softmax does not depend on a shift of its argument.

    Example:
        >>> soft_confusion(torch.zeros(2, 2), torch.tensor([0, 0]))
        tensor([[0.0000, 0.2500],
                [0.0000, 0.0000]])
    """
    if logits.ndim != 2 or targets.shape[:1] != logits.shape[:1]:
        shapes = tuple(logits.shape), tuple(targets.shape)
        raise refuse('logits, targets', '(N, K) logits with one row per target', shapes)
    check_number('margin', margin)
    check_number('temperature', temperature, '(0, inf)')
    check_flag('detach_gate', detach_gate)
    check_integer('max_labels', max_labels, '[1, inf)')
    num_classes = logits.shape[1]
    pairs = label_pairs(targets, num_classes, max_labels)
    pairs = pairs._replace(scores=pairs.scores.to(logits.dtype))
    labels = pairs.labels.reshape(-1)
    logits = logits.repeat_interleave(pairs.labels.shape[1], dim=0)
    rows = _confusion_rows(logits, labels, margin, temperature, detach_gate)
    shares = _pair_shares(pairs, num_classes)
    return rows.new_zeros(num_classes, num_classes).index_add(0, labels, rows * shares[:, None])


class LabelPairs(NamedTuple):
    """The labels of a batch, hard or soft, as ``M`` (label, score) pairs for each image.

    Args:
        labels: ``(N, M)`` int64 in ``[0, K)``.
        scores: ``(N, M)`` in ``[0, 1]``; 0 marks padding.
    """

    labels: Tensor
    scores: Tensor


def label_pairs(targets: Tensor, num_classes: int, max_labels: int = 2) -> LabelPairs:
    """Targets as (label, score) pairs, so that soft targets need no ``(N, K, K)`` array.

    Args:
        targets: ``(N,)`` integers (their range is checked on the CPU only: elsewhere the CPU would
            have to wait), or ``(N, K)`` floating-point scores.
        num_classes: ``K``.
        max_labels: how many labels of an image with soft targets are kept, at least 1, those of
            the largest scores. 2 is exact for mixup and CutMix. What lies beyond (label
            smoothing) takes no part in the confusion.

    Returns:
        Pairs with ``M = 1`` for integers and ``M = min(max_labels, K)`` for scores.

    Example:
        >>> label_pairs(torch.tensor([[0.3, 0.0, 0.7]]), 3)
        LabelPairs(labels=tensor([[2, 0]]), scores=tensor([[0.7000, 0.3000]]))
    """
    if targets.ndim == 1:
        labels = check_classes('targets', targets, num_classes)[:, None]
        return LabelPairs(labels, torch.ones_like(labels, dtype=torch.float32))
    if targets.ndim != 2 or targets.shape[1] != num_classes:
        expected = f'shape (N,) for labels or (N, {num_classes}) for scores'
        raise refuse('targets', expected, tuple(targets.shape))
    if not targets.is_floating_point():
        raise refuse('targets', '(N, K) floating-point scores', targets.dtype)
    scores, labels = targets.detach().topk(min(max_labels, num_classes), dim=1)
    return LabelPairs(labels, scores)


def _pair_shares(pairs: LabelPairs, num_classes: int) -> Tensor:
    """Weight ``(N * M,)`` of each pair in the row of its class, ``score / max(N_j, 1)``.

    The scores of class ``j`` sum to ``N_j``. For a class that occurs only in mixed images
    (:math:`N_j < 1`) the weight is the score itself, so that a contribution stays linear in it.
    """
    labels, scores = pairs.labels.reshape(-1), pairs.scores.reshape(-1)
    counts = scores.new_zeros(num_classes).index_add(0, labels, scores).clamp(min=1)
    return scores / counts.index_select(0, labels)


@dataclass(frozen=True)
class ConfusionOptions:
    """How the confusion estimate moves, and what carries gradient; the defaults are the paper's.

    Args:
        beta: memory of the moving average, in ``[0, 1)``.
        margin: added inside the sigmoid, in units of a logit.
        temperature: of the softmax, positive.
        absent_classes: rows of classes that are not in the batch. ``'decay'``: they shrink by
            ``beta`` (paper and released code); ``'hold'``: only the rows of present classes move.
        start: ``'zero'`` (paper), or ``'first_batch'``: the first batch is taken over as it is
            and carries no gradient (released code).
        detach_gate: no gradient through the sigmoid.
        exact: singular value decomposition in every step; for small ``K`` and tests.
        tolerance: see :func:`spectral_norm`.
    """

    beta: float = 0.5
    margin: float = 0.0
    temperature: float = 1.0
    absent_classes: str = 'decay'
    start: str = 'zero'
    detach_gate: bool = False
    exact: bool = False
    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        check_number('beta', self.beta, '[0, 1)')
        check_number('margin', self.margin)
        check_number('temperature', self.temperature, '(0, inf)')
        check_choice('absent_classes', self.absent_classes, ('decay', 'hold'))
        check_choice('start', self.start, ('zero', 'first_batch'))
        check_flag('detach_gate', self.detach_gate)
        check_flag('exact', self.exact)
        check_number('tolerance', self.tolerance, '[0, inf)')


class ConfusionState(NamedTuple):
    """The tensors that a step writes to. They never change shape.

    Args:
        confusion: ``(K, K)``, ``confusion[true, predicted]``.
        left_vector: ``(K,)`` leading left singular vector of the weighted matrix.
        right_vector: ``(K,)`` leading right one: where the next step starts.
        norm: scalar, the last spectral norm.
        num_updates: scalar int64, batches taken in.
        num_skipped: scalar int64, batches left out (NaN, Inf, labels out of range).
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
            dtype: of all but the counters, which are int64.

        Returns:
            All zero, on the CPU.
        """
        vector = torch.zeros(num_classes, dtype=dtype)
        counter = torch.zeros((), dtype=torch.int64)
        return cls(
            vector.new_zeros(num_classes, num_classes),
            vector,
            vector.clone(),
            vector.new_zeros(()),
            counter,
            counter.clone(),
        )


def confusion_norm_(
    logits: Tensor,
    pairs: LabelPairs,
    state: ConfusionState,
    row_weights: Tensor,
    options: ConfusionOptions | None = None,
) -> Tensor:
    r"""Blend a batch into the estimate, in place, and return the weighted spectral norm.

    .. math:: C_t = \beta C_{t-1} + (1 - \beta)\,\tilde c_t, \qquad
        \|\operatorname{diag}(w)\,C_t\|_2

    The past is constant; the gradient passes through the ``(N, K)`` rows of the batch with the
    leading singular vectors held fixed, so no second ``(K, K)`` array is made.

    Args:
        logits: ``(N, K)`` of the global batch, in the estimate's dtype. A batch with NaN or Inf
            leaves the estimate as it was, has zero gradient, and is counted; the CPU need not
            wait for the device for that.
        pairs: its labels, from :func:`label_pairs`.
        state: written to.
        row_weights: ``(K,)`` class weights, non-negative.
        options: defaults to the paper's.

    Returns:
        Scalar, differentiable once, in ``logits``.

    Example:
        >>> state = ConfusionState.zeros(2)
        >>> pairs = LabelPairs(torch.tensor([[0]]), torch.ones(1, 1))
        >>> confusion_norm_(torch.zeros(1, 2), pairs, state, torch.ones(2))
        tensor(0.1250)
    """
    options = options or ConfusionOptions()
    num_classes, labels_per_image = state.confusion.shape[0], pairs.labels.shape[1]
    with torch.autocast(logits.device.type, enabled=False):
        pairs, valid = _fit_pairs(logits, pairs, num_classes)
        labels = pairs.labels.reshape(-1)
        logits = torch.where(valid, logits, torch.zeros_like(logits[:1]))
        if labels_per_image > 1:
            logits = logits.repeat_interleave(labels_per_image, dim=0)
        rows = _confusion_rows(
            logits, labels, options.margin, options.temperature, options.detach_gate
        )
        del logits  # (N, K) less to hold
        keep, step, carry = _factors(valid, state, options)
        parts = _pair_shares(pairs, num_classes) * step
        with torch.no_grad():
            _blend_rows_(state.confusion, rows, labels, parts, keep, options.absent_classes)
            triplet = leading_singular_triplet(
                state.confusion,
                row_weights,
                _start_vector(state, labels, row_weights),
                options.exact,
                options.tolerance,
            )
            state.left_vector.copy_(triplet.left)
            state.right_vector.copy_(triplet.right)
            state.norm.copy_(triplet.value)
            state.num_updates.add_(valid)
            state.num_skipped.add_(~valid)
            pull = carry * parts * (row_weights * triplet.left).index_select(0, labels)
        linear = pull @ (rows @ triplet.right)
        return triplet.value + (linear - linear.detach())


def _fit_pairs(logits: Tensor, pairs: LabelPairs, num_classes: int) -> tuple[LabelPairs, Tensor]:
    """Pairs that can be computed with, and whether the batch may be used (0-dimensional bool)."""
    labels, scores = pairs.labels, pairs.scores.to(logits.dtype)
    in_range = ((labels >= 0) & (labels < num_classes)).all()
    # One NaN or Inf makes the sum NaN or Inf; isfinite() of the whole array would copy it.
    valid = torch.isfinite(logits.detach().sum()) & torch.isfinite(scores.sum()) & in_range
    scores = torch.where(valid, scores, torch.zeros_like(scores))
    return LabelPairs(labels.clamp(0, num_classes - 1), scores), valid


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
    class sum to ``1 - beta``, so its row moves as in ``decay``.
    """
    if absent_classes == 'decay':
        confusion.mul_(keep)
        moves = rows * parts[:, None]
    else:
        moves = (rows - confusion.index_select(0, labels)).mul_(parts[:, None])
    confusion.index_add_(0, labels, moves)


def _start_vector(state: ConfusionState, labels: Tensor, row_weights: Tensor) -> Tensor:
    """Previous right singular vector plus the directions in which the batch can have moved it.

    The leading direction jumps when a rare class comes or goes.
    """
    fresh = state.confusion.index_select(0, labels)
    return state.right_vector + start_from_rows(fresh, row_weights.index_select(0, labels))


def top_confused_pairs(confusion: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The largest entries of a confusion matrix.

    Args:
        confusion: ``(K, K)``, ``confusion[true, predicted]``, diagonal 0.
        count: how many; fewer come back where the matrix has fewer entries.

    Returns:
        True classes, predicted classes (int64) and values, each ``(count,)``, largest first.

    Example:
        >>> top_confused_pairs(torch.tensor([[0.0, 0.1], [0.4, 0.0]]), 1)
        (tensor([1]), tensor([0]), tensor([0.4000]))
    """
    check_integer('count', count, '[0, inf)')
    values, positions = confusion.flatten().topk(min(count, confusion.numel()))
    columns = confusion.shape[1]
    return positions.div(columns, rounding_mode='floor'), positions % columns, values
