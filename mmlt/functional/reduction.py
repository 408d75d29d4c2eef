"""From the loss of each class to the loss of a batch with soft labels."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ['reduce_scores']


def reduce_scores(
    losses: Tensor, scores: Tensor, weight: Tensor | None, reduction: str, smoothed: bool = False
) -> Tensor:
    r"""Loss of soft targets, :math:`\sum_k t_k w_k \ell_k` for each image, and its reduction.

    With class weights the mean is divided by the weights of the targets, as for hard ones (torch
    divides by ``N`` if they are soft), so that mixed and unmixed batches have one scale. Where one
    factor mixes the whole batch, each of the two labels has a mean of its own:
    :math:`\lambda L(a) + (1 - \lambda) L(b)` with the weighted loss :math:`L` of hard labels, as
    CMO's code has it. A rare label then has the share that its image has, and not that share times
    its class weight. An image with one label counts in both means.

    There is one mean over all labels where factors differ between images, where a target has more
    than two classes, with label smoothing, and at :math:`\lambda = 0.5`, since scores do not tell
    there which label is whose.

    Args:
        losses: ``(N, K)``, what each class would cost as the only label.
        scores: ``(N, K)``, rows sum to 1; a row of zeros is an image without loss.
        weight: ``(K,)`` class weights, or None.
        reduction: ``'mean'``, ``'sum'`` or ``'none'``.
        smoothed: whether labels are smoothed, which gives each image several classes.

    Returns:
        Scalar, or ``(N,)`` with ``'none'``.

    Reference:
        Park et al. (CMO), CVPR 2022, ``train`` of the released ``cifar_train.py``.

    Example:
        >>> losses, weight = torch.tensor([[1.0, 2.0]]), torch.tensor([1.0, 9.0])
        >>> reduce_scores(losses, torch.tensor([[0.75, 0.25]]), weight, 'mean')
        tensor(1.2500)
    """
    shares = scores.to(losses.dtype)
    weighted = shares if weight is None else shares * weight.to(losses)
    each = (weighted * losses).sum(dim=1)
    if reduction == 'none':
        return each
    if reduction == 'sum':
        return each.sum()
    if weight is None:
        return each.mean()
    mean = _ratio(each.sum(), weighted.sum())
    if smoothed or scores.shape[1] < 2:
        return mean
    return _mixed_by_one_factor(losses, shares, weight.to(losses), mean)


def _mixed_by_one_factor(
    losses: Tensor, scores: Tensor, weight: Tensor, otherwise: Tensor
) -> Tensor:
    """The mean of a batch that one factor mixes, or ``otherwise``.

    Chosen by ``torch.where``, since a branch would wait for the device.
    """
    share, label = scores.topk(2, dim=1)
    larger, smaller = share.unbind(dim=1)
    mixed = smaller > 0
    factor, rest = torch.where(mixed, larger, 0).amax(), smaller.amax()
    # Equal to the last bit: one factor gives all images the same two products.
    fits = (~mixed | (larger == factor)).all() & (rest < factor)
    fits = fits & ((scores != 0).sum(dim=1) <= 2).all() & larger.isfinite().all()
    # An image that is mixed with one of its own class has that label twice.
    second = torch.where(mixed, label[:, 1], label[:, 0])
    mean = torch.zeros_like(otherwise)
    for part, labels in ((factor, label[:, 0]), (rest, second)):
        weights = weight[labels] * (larger > 0)
        picked = losses.gather(1, labels[:, None]).squeeze(1)
        mean = mean + part * _ratio((weights * picked).sum(), weights.sum())
        fits = fits & (weights.sum() > 0)
    return torch.where(fits, mean, otherwise)


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return part / whole.clamp(min=torch.finfo(whole.dtype).tiny)
