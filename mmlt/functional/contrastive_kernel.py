r"""The balanced contrastive loss and both its gradients, a block of anchors at a time."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ['ContrastiveGradients', 'contrastive_terms', 'keys_per_class']

# 32 MB of float32 similarities at a time: as fast as all at once at iNaturalist size, and bounded.
BLOCK_ELEMENTS = 2**23


class ContrastiveGradients(NamedTuple):
    """Gradients of the loss: ``views (M, D)`` and ``prototypes (K, D)``."""

    views: Tensor
    prototypes: Tensor


def keys_per_class(targets: Tensor, num_classes: int, dtype: torch.dtype) -> Tensor:
    r""":math:`|B_k|`: the views of each class in the batch, and its prototype.

    Args:
        targets: ``(M,)`` class of each view.
        num_classes: ``K``.
        dtype: of the result.

    Returns:
        ``(K,)``, at least 1.

    Example:
        >>> keys_per_class(torch.tensor([0, 0]), 2, torch.float32)
        tensor([3., 1.])
    """
    # Unlike bincount, index_add does not make the host wait for the device.
    ones = torch.ones(targets.numel(), dtype=dtype, device=targets.device)
    return torch.ones(num_classes, dtype=dtype, device=targets.device).index_add(0, targets, ones)


def contrastive_terms(
    views: Tensor,
    targets: Tensor,
    prototypes: Tensor,
    temperature: float,
    with_gradients: bool,
    block_elements: int = BLOCK_ELEMENTS,
) -> tuple[Tensor, ContrastiveGradients | None]:
    r"""Loss of :func:`~mmlt.functional.contrastive.balanced_contrastive_loss` and its gradients.

    With :math:`q_{aj}` the weighted softmax over the keys of anchor :math:`a`, the gradient of
    :math:`L_a` in the similarity :math:`s_{aj}` is :math:`q_{aj} - [j \in P(a)] / |P(a)|`. So the
    similarities of a block of anchors are turned into that coefficient in place, used, and
    dropped.

    Args:
        views: ``(M, D)`` float32 or float64; each is an anchor and a key.
        targets: ``(M,)`` integer classes.
        prototypes: ``(K, D)``, same dtype.
        temperature: positive.
        with_gradients: also compute the gradients.
        block_elements: how many similarities are held at a time.

    Returns:
        The scalar loss, and the gradients or None.

    Example:
        >>> loss, _ = contrastive_terms(
        ...     torch.zeros(2, 1), torch.tensor([0, 0]), torch.zeros(2, 1), 1.0, False)
        >>> loss  # two keys of the own class share a weight of 1, the other prototype has one
        tensor(0.6931)
    """
    num_views, num_classes = views.shape[0], prototypes.shape[0]
    class_sizes = keys_per_class(targets, num_classes, views.dtype)
    log_sizes = class_sizes.log()
    num_positives = class_sizes[targets] - 1
    own_class_excess = log_sizes[targets] - num_positives.log()
    scale = 1 / (temperature * num_views)

    loss = views.new_zeros(())
    view_gradient = torch.zeros_like(views) if with_gradients else views
    prototype_gradient = torch.empty_like(prototypes) if with_gradients else prototypes
    rows = max(1, block_elements // (num_views + num_classes))
    for start in range(0, num_views, rows):
        block = slice(start, min(start + rows, num_views))
        anchors, positives = views[block], num_positives[block, None]
        own, excess = targets[block, None], own_class_excess[block, None]

        # (rows, M) similarities to the views, then log of what each adds to the denominator.
        to_views = torch.mm(anchors, views.T).div_(temperature)
        positive_views = (own == targets).to(views.dtype)
        positive_views.diagonal(start).fill_(0)
        attraction = torch.linalg.vecdot(to_views, positive_views)
        to_views.sub_(log_sizes[targets]).addcmul_(positive_views, excess)
        to_views.diagonal(start).fill_(-torch.inf)

        # (rows, K) the same for the prototypes.
        to_prototypes = torch.addmm(-log_sizes, anchors, prototypes.T, alpha=1 / temperature)
        attraction += to_prototypes.gather(1, own)[:, 0] + log_sizes[own[:, 0]]
        to_prototypes.scatter_add_(1, own, excess)

        highest = torch.maximum(to_views.amax(1), to_prototypes.amax(1))[:, None]
        to_views.sub_(highest).exp_()
        to_prototypes.sub_(highest).exp_()
        total = (to_views.sum(1) + to_prototypes.sum(1))[:, None]
        repulsion = (highest + total.log())[:, 0]
        loss += (repulsion - attraction / positives[:, 0]).sum()

        if with_gradients:
            to_views.mul_(scale / total).sub_(positive_views.mul_(scale / positives))
            to_prototypes.mul_(scale / total).scatter_add_(1, own, -scale / positives)
            view_gradient[block].addmm_(to_views, views).addmm_(to_prototypes, prototypes)
            view_gradient.addmm_(to_views.T, anchors)
            prototype_gradient.addmm_(to_prototypes.T, anchors, beta=float(start > 0))
    gradients = ContrastiveGradients(view_gradient, prototype_gradient)
    return loss / num_views, gradients if with_gradients else None
