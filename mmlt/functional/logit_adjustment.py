r"""Logit adjustment: a classifier that knows the class prior.

A model trained on a long tail learns the prior along with the classes, and favours the head. The
prior can be compensated while training, in the loss (:func:`logit_adjusted_cross_entropy`), with
the prior of the class counts or of the labels that really arrive (:func:`update_running_prior`);
or afterwards, in the logits (:func:`adjust_logits`), in the bias (:func:`adjusted_bias`), or in the
norms of the classifier's rows, which grow with the prior (:func:`tau_normalize`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .checks import check_choice, check_number, refuse
from .counts import ClassCounts, validate_class_counts
from .reduction import reduce_scores
from .targets import check_targets, refuse_left_out

__all__ = [
    'adjust_logits',
    'adjusted_bias',
    'blended_log_prior',
    'cross_entropy',
    'log_prior',
    'logit_adjusted_cross_entropy',
    'scaled_log_prior',
    'scaling_factors',
    'tau_normalize',
    'update_running_prior',
]


def log_prior(class_counts: ClassCounts, empty_classes: str = 'error') -> Tensor:
    r""":math:`\log \pi_k`, the offset that logit adjustment scales by tau.

    Args:
        class_counts: ``(K,)`` training images per class.
        empty_classes: ``'error'``, or ``'ignore'`` to leave classes without images out
            (their entry is ``-inf``).

    Returns:
        ``(K,)`` float64.
    """
    check_choice('empty_classes', empty_classes, ('error', 'ignore'))
    counts = validate_class_counts(class_counts, allow_empty=empty_classes == 'ignore')
    return (counts / counts.sum()).log()


def scaled_log_prior(log_prior: Tensor, tau: float) -> Tensor:
    r"""What logit adjustment adds to logits, :math:`\tau \log \pi_k`.

    Args:
        log_prior: ``(K,)``; ``-inf`` for a class that is left out.
        tau: strength; 0 must not turn that ``-inf`` into NaN.

    Returns:
        ``(K,)``; ``-inf`` where ``log_prior`` is.
    """
    return torch.where(log_prior == -torch.inf, log_prior, tau * log_prior)


def scaling_factors(
    class_counts: ClassCounts, gamma: float, empty_classes: str = 'error'
) -> Tensor:
    r"""Factors of the vector-scaling loss, :math:`(n_k / n_{max})^\gamma`.

    Args:
        class_counts: ``(K,)`` training images per class.
        gamma: at least 0; 0 gives ones.
        empty_classes: ``'error'``, or ``'ignore'``: classes without images have the factor 1, and
            their offset, ``-inf``, leaves them out.

    Returns:
        ``(K,)`` float64.

    Reference:
        Kini et al., NeurIPS 2021, eq. 3 and section 5.

    Example:
        >>> scaling_factors([4, 1], gamma=0.5)
        tensor([1.0000, 0.5000], dtype=torch.float64)
    """
    check_number('gamma', gamma, '[0, inf)')
    check_choice('empty_classes', empty_classes, ('error', 'ignore'))
    counts = validate_class_counts(class_counts, allow_empty=empty_classes == 'ignore')
    return torch.where(counts > 0, (counts / counts.max()) ** gamma, 1.0)


def logit_adjusted_cross_entropy(
    logits: Tensor,
    targets: Tensor,
    class_counts: ClassCounts,
    tau: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = 'mean',
    empty_classes: str = 'error',
    label_smooth_val: float = 0.0,
) -> Tensor:
    r"""Logit-compensated cross-entropy :math:`\mathrm{CE}(f + \tau \log \pi, t)`.

    Args:
        logits: ``(N, K)``, unadjusted.
        targets: ``(N,)`` integers, or ``(N, K)`` scores whose rows sum to 1.
        class_counts: ``(K,)`` training images per class.
        tau: strength of the compensation; 0 is plain cross-entropy, 1 Balanced Softmax.
        weight: ``(K,)`` class weights.
        reduction: ``'mean'``, ``'sum'`` or ``'none'``; with class weights the mean is divided by
            those of the targets; without smoothing, of scores that one factor mixes, the mean of
            each of the two labels by its own.
        empty_classes: ``'error'``: a class without training images is a ``ValueError``;
            ``'ignore'`` leaves it out of the softmax.
        label_smooth_val: label smoothing, see :func:`cross_entropy`.

    Returns:
        Scalar, or ``(N,)`` with ``'none'``.

    Reference:
        Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021, eq. 10; the released
        code of BCL takes the logarithm of a softmax, whose gradient is NaN from a logit gap of
        about 60 in float32, while this uses ``log_softmax``.

    Example:
        >>> logit_adjusted_cross_entropy(torch.zeros(1, 2), torch.tensor([1]), [3, 1])
        tensor(1.3863)
    """
    check_number('tau', tau)
    offset = log_prior(class_counts, empty_classes)
    if logits.ndim != 2 or logits.shape[1] != offset.shape[0]:
        raise refuse(
            'logits', f'(N, {len(offset)}) for {len(offset)} class counts', tuple(logits.shape)
        )
    targets = check_targets('targets', targets, logits)
    refuse_left_out('targets', targets, offset)
    logits = logits + scaled_log_prior(offset, tau).to(logits)
    return cross_entropy(logits, targets, weight, reduction, label_smooth_val)


def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    weight: Tensor | None = None,
    reduction: str = 'mean',
    label_smooth_val: float = 0.0,
) -> Tensor:
    r"""Cross-entropy through ``log_softmax`` that leaves out classes whose logit is ``-inf``.

    Args:
        logits: ``(N, K)``.
        targets: from :func:`~mmlt.functional.targets.check_targets`.
        weight: ``(K,)`` class weights.
        reduction: ``'mean'``, ``'sum'`` or ``'none'``, as in
            :func:`~mmlt.functional.logit_adjusted_cross_entropy`.
        label_smooth_val: :math:`\epsilon` in ``[0, 1)`` of
            :math:`(1 - \epsilon)\, t_k + \epsilon / K`, which takes the place of the target, hard
            or soft; ``K`` counts the classes that are not left out. The mean over the labels of
            mixed images and smoothing may be done in either order.

    Returns:
        Scalar, or ``(N,)`` with ``'none'``.

    Reference:
        Szegedy et al., Rethinking the Inception Architecture, CVPR 2016; MMPretrain's
        ``LabelSmoothLoss(mode='original')``.
    """
    check_choice('reduction', reduction, ('mean', 'sum', 'none'))
    if check_number('label_smooth_val', label_smooth_val, '[0, 1)'):
        targets = _smoothed(targets, logits != -torch.inf, label_smooth_val)
    if targets.ndim == 1:
        weight = None if weight is None else weight.to(logits)
        return F.cross_entropy(logits, targets, weight=weight, reduction=reduction)
    log_probabilities = F.log_softmax(logits, dim=1)
    log_probabilities = log_probabilities.masked_fill(logits == -torch.inf, 0.0)
    return reduce_scores(
        -log_probabilities, targets, weight, reduction, smoothed=label_smooth_val > 0
    )


def _smoothed(targets: Tensor, present: Tensor, smoothing: float) -> Tensor:
    scores = targets if targets.ndim == 2 else F.one_hot(targets, present.shape[1])
    spread = present / present.sum(dim=1, keepdim=True)
    # A row of zeros, an image without a label, stays one.
    return (1 - smoothing) * scores + smoothing * spread * scores.sum(dim=1, keepdim=True)


def update_running_prior(
    prior: Tensor, mass: Tensor, steps: Tensor, momentum: float = 0.999
) -> tuple[Tensor, Tensor]:
    """One step of the running mean of the label mass.

    The first steps form a plain mean, in which the initial prior counts as one step; later the
    memory is exponential with rate ``1 - momentum``.

    Args:
        prior: ``(K,)``, sums to 1.
        mass: ``(K,)`` sum of the target scores of the global batch.
        steps: integer scalar tensor (nothing waits for the device), steps before this one.
        momentum: in ``[0, 1)``.

    Returns:
        The prior ``(K,)``, positive wherever the old one is, and the steps with this one. Both
        unchanged if ``mass`` is not finite or all zero: one overflow must not stay for good.

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
    """
    tiny = torch.finfo(running_prior.dtype).tiny
    running = running_prior.clamp(min=tiny).log()
    blended = torch.lerp(train_log_prior.clamp(min=-1e4).to(running), running, blend)
    return blended.masked_fill(train_log_prior == -torch.inf, -torch.inf)


def adjust_logits(logits: Tensor, class_counts: ClassCounts, tau: float = 1.0) -> Tensor:
    r"""Post-hoc logit adjustment :math:`f_k - \tau \log \pi_k`, for a model trained without it.

    Args:
        logits: ``(N, K)``; log-probabilities serve as well, the difference is constant in a row.
        class_counts: ``(K,)`` training images per class, none of them 0.
        tau: strength; 0 changes nothing.

    Returns:
        ``(N, K)``, same dtype; the arg-max is the prediction for a uniform class prior.

    Reference:
        Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021, eq. 9.

    Example:
        >>> adjust_logits(torch.tensor([[1.0, 0.9]]), [90, 10]).argmax(1)
        tensor([1])
    """
    return logits - (check_number('tau', tau) * log_prior(class_counts)).to(logits)


def adjusted_bias(bias: Tensor, class_counts: ClassCounts, tau: float = 1.0) -> Tensor:
    r"""Bias of a linear classifier with post-hoc logit adjustment built in, :math:`b-\tau\log\pi`.

    Args:
        bias: ``(K,)``.
        class_counts: ``(K,)`` training images per class, none of them 0.
        tau: strength; 0 changes nothing, 1 matches a balanced test set.

    Returns:
        ``(K,)`` in the dtype of ``bias``.

    Reference:
        Menon et al., Long-Tail Learning via Logit Adjustment, ICLR 2021, eq. 9.

    Example:
        >>> adjusted_bias(torch.zeros(2), [1, 1])
        tensor([0.6931, 0.6931])
    """
    if bias.ndim != 1:
        raise refuse('bias', 'shape (K,)', tuple(bias.shape))
    if len(class_counts) != len(bias):
        raise refuse('class_counts', f'{len(bias)} classes, as in the bias', len(class_counts))
    return adjust_logits(bias.double(), class_counts, tau).to(bias.dtype)


def tau_normalize(weight: Tensor, tau: float = 1.0) -> Tensor:
    r"""Rows of a linear classifier divided by a power of their norm, :math:`w_k/\|w_k\|^\tau`.

    The norm of a row grows with the number of training images of its class.

    Args:
        weight: ``(K, D)``, one row per class, none of them zero.
        tau: from 0 (nothing changes) to 1 (all rows have norm 1); tuned on a validation set.

    Returns:
        ``(K, D)`` in the dtype of ``weight``.

    Reference:
        Kang et al., "Decoupling representation and classifier for long-tailed recognition",
        ICLR 2020, equation 4. There the classifier has no bias afterwards.

    Example:
        >>> tau_normalize(torch.tensor([[3.0, 4.0]]), tau=1.0)
        tensor([[0.6000, 0.8000]])
    """
    if weight.ndim != 2:
        raise refuse('weight', 'shape (K, D)', tuple(weight.shape))
    check_number('tau', tau)
    norm = torch.linalg.vector_norm(weight.double(), dim=1, keepdim=True)
    # Once per file, not in training: the wait for the device does not matter.
    if not bool((torch.isfinite(norm) & (norm > 0)).all()):
        raise ValueError('weight: expected finite rows, none of them zero, got one that is not')
    normalized: Tensor = weight.double() / norm**tau
    return normalized.to(weight.dtype)
