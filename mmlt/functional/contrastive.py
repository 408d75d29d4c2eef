r"""Balanced contrastive loss: every class weighs alike among the keys of an anchor."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = [
    'ContrastiveGradients',
    'balanced_contrastive_loss',
    'contrastive_terms',
    'keys_per_class',
]


class _BalancedContrastive(torch.autograd.Function):
    """Computes the gradients in the forward pass, so that no similarity matrix is kept."""

    @staticmethod
    def forward(
        ctx: Any,
        views: Tensor,
        targets: Tensor,
        prototypes: Tensor,
        temperature: float,
        with_gradients: bool,
    ) -> Tensor:
        """Loss of ``views (M, D)``; keeps the gradients for the backward pass."""
        loss, ctx.gradients = contrastive_terms(
            views, targets, prototypes, temperature, with_gradients
        )
        ctx.temperature = temperature
        ctx.save_for_backward(views, targets, prototypes)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients in views and prototypes."""
        gradients: ContrastiveGradients | None = ctx.gradients
        # Scaled in place and given away; a second backward pass computes them anew.
        ctx.gradients = None
        if gradients is None:
            views, targets, prototypes = ctx.saved_tensors
            gradients = contrastive_terms(views, targets, prototypes, ctx.temperature, True)[1]
        if gradients is None:
            return None, None, None, None, None
        return (
            gradients.views.mul_(grad_loss),
            None,
            gradients.prototypes.mul_(grad_loss),
            None,
            None,
        )


def balanced_contrastive_loss(
    embeddings: Tensor, targets: Tensor, prototypes: Tensor, temperature: float = 0.1
) -> Tensor:
    r"""Supervised contrastive loss with class averaging and class complement (BCL).

    The keys are all ``N * V`` views and the ``K`` prototypes. For an anchor :math:`a` with the
    keys :math:`P(a)` of its class, itself excluded, and :math:`s_{aj} = z_a \cdot key_j / T`,

    .. math::
        L_a = \log \sum_{j \ne a} \frac{e^{s_{aj}}}{w_{aj}}
              - \frac{1}{|P(a)|} \sum_{p \in P(a)} s_{ap}, \quad
        w_{aj} = |B_{y_j}| - [y_j = y_a],

    where :math:`B_k` are the keys of class :math:`k`; the loss is the mean over the anchors.

    Vectors are used as given: normalise them before. The gradients are computed along with the
    loss, block by block, so that extra memory is about that of the gradients themselves. Half
    precision is computed in float32, under autocast too.

    Args:
        embeddings: ``(N, V, D)`` with ``V >= 2`` views of each image.
        targets: ``(N,)`` integer classes in ``[0, K)``.
        prototypes: ``(K, D)``, one for each class; classes absent from the batch included.
        temperature: positive; 0.07 for ImageNet-LT and iNaturalist, 0.1 for CIFAR.

    Returns:
        Scalar, differentiable (once) in ``embeddings`` and ``prototypes``.

    Raises:
        TypeError: if ``targets`` are not integers.
        ValueError: for wrong shapes, fewer than two views, a target out of range (seen on the
            CPU only), or a temperature that is not positive.

    Reference:
        Zhu et al., Balanced Contrastive Learning, CVPR 2022, eqs. 4 to 6. The released code forms
        ``exp`` first and divides by the class sizes; here ``-log w`` stands inside one
        log-sum-exp. It takes two views, this any number from two on.

    Example:
        >>> views = torch.eye(2).repeat_interleave(2, dim=0).view(2, 2, 2)
        >>> balanced_contrastive_loss(views, torch.tensor([0, 1]), torch.eye(2), temperature=1.0)
        tensor(0.3133)
    """
    _check(embeddings, targets, prototypes, temperature)
    double = torch.float64 in (embeddings.dtype, prototypes.dtype)
    dtype = torch.float64 if double else torch.float32
    num_views = embeddings.shape[1]
    with_gradients = torch.is_grad_enabled() and (
        embeddings.requires_grad or prototypes.requires_grad
    )
    with torch.autocast(embeddings.device.type, enabled=False):
        loss: Tensor = _BalancedContrastive.apply(  # type: ignore[no-untyped-call]
            embeddings.to(dtype).flatten(0, 1),
            targets.to(embeddings.device, torch.int64).repeat_interleave(num_views),
            prototypes.to(dtype).contiguous(),
            float(temperature),
            with_gradients,
        )
    return loss


def _check(embeddings: Tensor, targets: Tensor, prototypes: Tensor, temperature: float) -> None:
    if embeddings.ndim != 3 or embeddings.shape[1] < 2:
        raise ValueError(
            f'embeddings: expected (N, V, D) with V >= 2 views, got shape {tuple(embeddings.shape)}'
        )
    num_images, _, channels = embeddings.shape
    if num_images == 0:
        raise ValueError('embeddings: expected at least one image, got none')
    if prototypes.ndim != 2 or prototypes.shape[1] != channels:
        raise ValueError(
            f'prototypes: expected (K, {channels}) to go with the embeddings, '
            f'got shape {tuple(prototypes.shape)}'
        )
    if targets.ndim == 2:
        raise ValueError(
            'targets: expected integer classes (N,), got scores of shape '
            f'{tuple(targets.shape)}; the contrastive views are not mixed'
        )
    if targets.shape != (num_images,):
        raise ValueError(f'targets: expected shape ({num_images},), got {tuple(targets.shape)}')
    if targets.is_floating_point() or targets.dtype == torch.bool:
        raise TypeError(f'targets: expected integers, got {targets.dtype}')
    # On a device this look would wait for it; indexing reports the mistake there.
    if targets.device.type == 'cpu' and not bool(
        ((targets >= 0) & (targets < prototypes.shape[0])).all()
    ):
        raise ValueError(
            f'targets: expected classes in [0, {prototypes.shape[0]}), got '
            f'{int(targets.min())} to {int(targets.max())}'
        )
    if not temperature > 0:
        raise ValueError(f'temperature: expected a positive number, got {temperature}')


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
