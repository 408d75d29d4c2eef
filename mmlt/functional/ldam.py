r"""LDAM: margins that grow as a class gets rarer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .checks import check_choice, check_number, refuse
from .counts import ClassCounts, validate_class_counts
from .logit_adjustment import cross_entropy
from .reduction import reduce_scores
from .targets import check_targets

__all__ = ['ldam_cross_entropy', 'ldam_margins']


def ldam_margins(class_counts: ClassCounts, max_margin: float = 0.5) -> Tensor:
    r"""Margins :math:`m_k \propto n_k^{-1/4}`, the largest scaled to ``max_margin``.

    Args:
        class_counts: ``(K,)`` training images per class; a ``ValueError`` if one of them is 0.
        max_margin: margin of the rarest class, in units of a cosine, at least 0.

    Returns:
        ``(K,)`` float64.

    Reference:
        Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss,
        NeurIPS 2019, eq. 10.

    Example:
        >>> ldam_margins([16, 1])
        tensor([0.2500, 0.5000], dtype=torch.float64)
    """
    check_number('max_margin', max_margin, '[0, inf)')
    margins = validate_class_counts(class_counts, allow_empty=False) ** -0.25
    return margins * (max_margin / margins.max())


def ldam_cross_entropy(
    cosines: Tensor,
    targets: Tensor,
    margins: Tensor,
    scale: float = 30.0,
    weight: Tensor | None = None,
    reduction: str = 'mean',
) -> Tensor:
    r"""Cross-entropy of ``scale * (cosines - margin of the target)``.

    Args:
        cosines: ``(N, K)``, in ``[-1, 1]`` for a cosine classifier.
        targets: ``(N,)`` integers, or ``(N, K)`` scores whose rows sum to 1; the loss of an image
            is linear in them.
        margins: ``(K,)``, from :func:`ldam_margins`.
        scale: inverse temperature.
        weight: ``(K,)`` class weights (deferred re-weighting).
        reduction: ``'mean'``, ``'sum'`` or ``'none'``; with class weights the mean is divided by
            those of the targets, as in the released code; of scores that one factor mixes, the
            mean of each of the two labels by its own.

    Returns:
        Scalar, or ``(N,)`` with ``'none'``.

    Reference:
        Cao et al., NeurIPS 2019, eq. 12 and 13; soft targets are this project's extension.

    Example:
        >>> ldam_cross_entropy(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([0.1, 0.5]),
        ...                    scale=10.0)
        tensor(1.3133)
    """
    check_number('scale', scale, '(0, inf)')
    check_choice('reduction', reduction, ('mean', 'sum', 'none'))
    targets = check_targets('targets', targets, cosines)
    if margins.shape != cosines.shape[1:]:
        raise refuse('margins', f'({cosines.shape[1]},)', tuple(margins.shape))
    margins = margins.to(cosines)
    if targets.ndim == 1:
        shift = F.one_hot(targets, cosines.shape[1]).to(cosines) * margins
        return cross_entropy(scale * (cosines - shift), targets, weight, reduction)
    own = scale * (cosines - margins)
    others = _log_sum_exp_of_the_others(scale * cosines)
    losses = torch.logaddexp(others - own, torch.zeros_like(own))
    return reduce_scores(losses, targets, weight, reduction)


def _log_sum_exp_of_the_others(logits: Tensor) -> Tensor:
    r""":math:`\log \sum_{j \ne k} e^{f_j}` for each class ``k``, ``(N, K)``.

    The whole sum less the own part loses all digits where that part is the sum. That can happen
    to the largest logit only, whose others are therefore summed by themselves.
    """
    top = logits.argmax(dim=1, keepdim=True)
    without_top = logits.scatter(1, top, -torch.inf).logsumexp(dim=1, keepdim=True)
    total = logits.logsumexp(dim=1, keepdim=True)
    # Filled before log1p, for a gradient of log1p(-1) is NaN even where nobody uses it.
    share = (logits - total).exp().scatter(1, top, 0.0)
    return (total + torch.log1p(-share)).scatter(1, top, without_top)
