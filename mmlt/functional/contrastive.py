r"""Balanced contrastive loss: every class weighs alike among the keys of an anchor.

In a supervised contrastive loss the head classes have most of the keys, and so most of the
denominator. Here the keys of a class are averaged (class averaging), and every class has at least
one, its prototype (class complement).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .checks import check_number, refuse
from .targets import check_classes

__all__ = ['balanced_contrastive_loss', 'unit_vectors']


def unit_vectors(vectors: Tensor) -> Tensor:
    """Vectors of length 1, in the last dimension; a zero vector stays zero and has a gradient.

    No small number is added, since half precision cannot hold one that would do: 1e-12 is 0 in
    float16, and 1 over the smallest that is not would be an infinite gradient.

    Args:
        vectors: ``(..., D)``.

    Returns:
        ``(..., D)``, float32 for half precision, under autocast too, else of the same dtype.

    Example:
        >>> unit_vectors(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
        tensor([[0.6000, 0.8000],
                [0.0000, 0.0000]])
    """
    with torch.autocast(vectors.device.type, enabled=False):
        vectors = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
        length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
        return vectors / torch.where(length > 0, length, 1)


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
    Vectors are used as given: normalise them before. Half precision is computed in float32, under
    autocast too.

    Args:
        embeddings: ``(N, V, D)`` with ``V >= 2`` views of each image.
        targets: ``(N,)`` integer classes in ``[0, K)`` (the range is checked on the CPU only).
        prototypes: ``(K, D)``, one for each class; classes absent from the batch included.
        temperature: positive; 0.07 for ImageNet-LT and iNaturalist, 0.1 for CIFAR.

    Returns:
        Scalar, differentiable in ``embeddings`` and ``prototypes``.

    Reference:
        Zhu et al., Balanced Contrastive Learning, CVPR 2022, eqs. 4 to 6. The released code forms
        ``exp`` first and divides by the class sizes; here ``-log w`` stands inside one
        log-sum-exp. It takes two views, this any number from two on.

    Example:
        >>> views = torch.eye(2).repeat_interleave(2, dim=0).view(2, 2, 2)
        >>> balanced_contrastive_loss(views, torch.tensor([0, 1]), torch.eye(2), temperature=1.0)
        tensor(0.3133)
    """
    targets = _check(embeddings, targets, prototypes, temperature)
    double = torch.float64 in (embeddings.dtype, prototypes.dtype)
    dtype = torch.float64 if double else torch.float32
    with torch.autocast(embeddings.device.type, enabled=False):
        views, prototypes = embeddings.to(dtype).flatten(0, 1), prototypes.to(dtype)
        own = targets.to(views.device).repeat_interleave(embeddings.shape[1])
        # Unlike bincount, index_add does not make the CPU wait for the device.
        num_keys = torch.ones_like(prototypes[:, 0]).index_add(0, own, torch.ones_like(views[:, 0]))
        num_positives = num_keys[own] - 1
        own_is_fewer = (num_keys[own] / num_positives).log()

        # Two matrices of similarities, as one would need a copy of all keys.
        to_views = views @ views.T / temperature
        to_prototypes = views @ prototypes.T / temperature
        positive = (own[:, None] == own).fill_diagonal_(False)
        attraction = (to_views * positive).sum(1) + to_prototypes.gather(1, own[:, None])[:, 0]

        log_keys = num_keys.log()
        to_views = to_views - log_keys[own] + positive * own_is_fewer[:, None]
        to_views = to_views.fill_diagonal_(-torch.inf)
        to_prototypes = to_prototypes - log_keys
        to_prototypes = to_prototypes.scatter_add(1, own[:, None], own_is_fewer[:, None])
        repulsion = torch.logaddexp(to_views.logsumexp(1), to_prototypes.logsumexp(1))
        return (repulsion - attraction / num_positives).mean()


def _check(embeddings: Tensor, targets: Tensor, prototypes: Tensor, temperature: float) -> Tensor:
    if embeddings.ndim != 3 or embeddings.shape[0] < 1 or embeddings.shape[1] < 2:
        expected = '(N, V, D) with at least one image and V >= 2 views'
        raise refuse('embeddings', expected, tuple(embeddings.shape))
    num_images, _, channels = embeddings.shape
    if prototypes.ndim != 2 or prototypes.shape[1] != channels:
        expected = f'(K, {channels}), as wide as the embeddings'
        raise refuse('prototypes', expected, tuple(prototypes.shape))
    if targets.shape != (num_images,):
        expected = f'({num_images},) classes, as the contrastive views are not mixed'
        raise refuse('targets', expected, tuple(targets.shape))
    check_number('temperature', temperature, '(0, inf)')
    return check_classes('targets', targets, prototypes.shape[0])
