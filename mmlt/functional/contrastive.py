r"""Balanced contrastive loss: every class weighs alike among the keys of an anchor."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .contrastive_kernel import ContrastiveGradients, contrastive_terms

__all__ = ['balanced_contrastive_loss']


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
