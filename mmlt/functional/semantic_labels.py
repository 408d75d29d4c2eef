r"""Labels of mixed images, rectified by their distances to class prototypes (ConCutMix)."""

from __future__ import annotations

import torch
from torch import Tensor

from .checks import check_number, refuse
from .counts import ClassCounts
from .nearest_prototypes import nearest_prototypes

__all__ = ['check_confidence', 'label_confidence', 'semantic_scores', 'semantic_similarity']


def semantic_similarity(features: Tensor, prototypes: Tensor, top_k: int) -> Tensor:
    r"""L1-normalised inverse distances to the nearest prototypes, 0 for the other classes.

    A feature that coincides with prototypes has its mass spread over exactly those, the limit of
    the inverse distance.

    Args:
        features: ``(N, D)``; half precision is computed in float32.
        prototypes: ``(K, D)``.
        top_k: how many classes; all classes tied with the last one are kept as well.

    Returns:
        ``(N, K)``, rows sum to 1.

    Reference:
        Pan et al., IEEE TIP 2024, eq. 8.

    Example:
        >>> semantic_similarity(torch.zeros(1, 1), torch.tensor([[1.0], [-3.0], [9.0]]), 2)
        tensor([[0.7500, 0.2500, 0.0000]])
    """
    dtype = torch.promote_types(features.dtype, torch.float32)
    features, prototypes = features.to(dtype), prototypes.to(dtype)
    classes, distances, edge_ties = nearest_prototypes(features, prototypes, top_k)
    nearest = distances.amin(dim=1, keepdim=True)
    # nearest / d is 1 / d up to the normalisation, without overflow; 0 / 0 is the coincidence.
    closeness = torch.where(distances == nearest, 1, nearest / distances)
    edge = distances.masked_fill(distances.isinf(), -1).amax(dim=1, keepdim=True)
    tied_closeness = torch.where(edge == nearest, 1, nearest / edge)
    similarity = (edge_ties * tied_closeness).scatter_add(1, classes, closeness)
    return similarity / similarity.sum(dim=1, keepdim=True)


def check_confidence(confidence: str | float) -> float | None:
    """Check the option of that name.

    Args:
        confidence: ``'log_count'`` or a constant in ``[0, 1]``.

    Returns:
        The constant, or None for ``'log_count'``; all else is an ``OptionError``.
    """
    if not isinstance(confidence, str):
        return check_number('confidence', confidence, '[0, 1]')
    if confidence != 'log_count':
        raise refuse('confidence', "'log_count' or a number in [0, 1]", confidence)
    return None


def label_confidence(
    scores: Tensor, class_counts: ClassCounts, omega: float, confidence: str | float = 'log_count'
) -> Tensor:
    r"""How far a label is moved: :math:`\gamma = \omega \log(\sum_k n_k t_k) / \sum_k \log n_k`.

    Args:
        scores: ``(N, K)`` area labels; rows sum to 1.
        class_counts: ``(K,)`` training images per class; empty classes count as one image.
        omega: factor of ``'log_count'``; without effect on a constant.
        confidence: ``'log_count'``, or the same number in ``[0, 1]`` for every image.

    Returns:
        ``(N,)`` in ``[0, 1]``, at least float32; 0 where every class has one image only.

    Reference:
        Pan et al., IEEE TIP 2024, eq. 9. The constant, and the clipping, are this project's.

    Example:
        >>> label_confidence(torch.tensor([[0.5, 0.5]]), [10, 10], omega=0.4)
        tensor([0.2000])
    """
    constant = check_confidence(confidence)
    if constant is not None:
        return scores.new_full((scores.shape[0],), constant)
    check_number('omega', omega, '[0, inf)')
    # float16 ends at 65,504, below the class counts and sums of some data sets.
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    counts = torch.as_tensor(class_counts, device=scores.device).to(scores.dtype).clamp(min=1)
    if counts.shape != scores.shape[1:]:
        raise refuse('class_counts', f'({scores.shape[1]},), as in the scores', tuple(counts.shape))
    total = counts.log().sum()
    expected = (scores * counts).sum(dim=1).clamp(min=1).log()
    return torch.where(total > 0, omega * expected / total, 0).clamp(0, 1)


@torch.no_grad()
def semantic_scores(
    features: Tensor,
    prototypes: Tensor,
    scores: Tensor,
    class_counts: ClassCounts,
    top_k: int,
    omega: float,
    confidence: str | float = 'log_count',
) -> tuple[Tensor, Tensor]:
    r"""Rectified label :math:`\gamma s + (1 - \gamma) t` of mixed images, without gradient.

    :math:`s` is :func:`semantic_similarity` of the unnormalised features and prototypes,
    :math:`\gamma` is :func:`label_confidence`. Half precision is computed in float32, under
    autocast too.

    Args:
        features: ``(N, D)`` projections of the mixed images.
        prototypes: ``(K, D)``.
        scores: ``(N, K)`` area labels :math:`t`; rows sum to 1.
        class_counts: ``(K,)`` training images per class.
        top_k: how many classes get a share, at least 1; 30 (CIFAR-10: 3). More than ``K``: all.
        omega: factor of the confidence, at least 0; 200/255 on ImageNet-LT, 1628/255 on
            iNaturalist, 20/255 and 2/255 on CIFAR-100 and CIFAR-10.
        confidence: ``'log_count'``, or a constant in ``[0, 1]`` that replaces it.

    Returns:
        ``(scores (N, K), gamma (N,))``, float32, or float64 if the features are. An image whose
        features are not finite keeps its area label.

    Reference:
        Pan et al., ConCutMix, IEEE TIP 2024. The released code forms the ``(N, K, D)``
        difference and divides by a zero distance.

    Example:
        >>> semantic_scores(torch.zeros(1, 1), torch.tensor([[1.0], [3.0]]),
        ...                 torch.tensor([[0.0, 1.0]]), class_counts=[10, 10], top_k=2, omega=0.4)
        (tensor([[0.1500, 0.8500]]), tensor([0.2000]))
    """
    if scores.ndim != 2 or scores.shape != (features.shape[0], prototypes.shape[0]):
        expected = f'(N, K) = {(features.shape[0], prototypes.shape[0])}'
        raise refuse('scores', expected, tuple(scores.shape))
    check_number('omega', omega, '[0, inf)')
    dtype = torch.promote_types(features.dtype, torch.float32)
    with torch.autocast(features.device.type, enabled=False):
        area = scores.to(dtype)
        gamma = label_confidence(area, class_counts, omega, confidence)
        similarity = semantic_similarity(features.to(dtype), prototypes.to(dtype), top_k)
        # A feature that has overflowed says nothing about the label.
        known = similarity.isfinite().all(dim=1, keepdim=True)
        return torch.where(known, torch.lerp(area, similarity, gamma[:, None]), area), gamma
