r"""The nearest class prototypes of each feature, with distances that are exact."""

from __future__ import annotations

import torch
from torch import Tensor

from .checks import check_integer, refuse

__all__ = ['nearest_prototypes']

# Candidates beyond top_k, because the rough order can swap near neighbours.
MARGIN = 8
# Gathered prototypes held at a time: 4 MB of float32.
BLOCK_ELEMENTS = 2**20


def _paired_distances(features: Tensor, prototypes: Tensor, classes: Tensor) -> Tensor:
    """Euclidean distances ``(N, M)`` of features from their own rows of ``classes``, by difference.

    Memory beyond that is constant: features are taken block by block.
    """
    rows = max(1, BLOCK_ELEMENTS // max(1, classes.shape[1] * features.shape[1]))
    blocks = [
        torch.cdist(own[:, None], prototypes[listed], compute_mode='donot_use_mm_for_euclid_dist')[
            :, 0
        ]
        for own, listed in zip(torch.split(features, rows), torch.split(classes, rows), strict=True)
    ]
    return torch.cat(blocks)


def nearest_prototypes(
    features: Tensor, prototypes: Tensor, top_k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The ``top_k`` nearest prototypes, and those tied with the last of them.

    One matrix product ranks all classes; the distances of the foremost ``M = top_k + 8`` are
    then computed by difference, since squared distances from products lose the near neighbours.
    A tie that reaches beyond them (many equal prototypes) is recognised by an equal product.

    Args:
        features: ``(N, D)``, float32 or float64.
        prototypes: ``(K, D)``, same dtype.
        top_k: at least 1; more than ``K`` means all.

    Returns:
        ``(classes, distances, edge_ties)``: candidates ``(N, M)``; their distances ``(N, M)``,
        ``inf`` for those that are farther than the ``top_k``-th; a mask ``(N, K)`` of further
        classes tied with the ``top_k``-th.

    Example:
        >>> classes, distances, _ = nearest_prototypes(
        ...     torch.zeros(1, 1), torch.tensor([[1.0], [-3.0], [9.0]]), 1)
        >>> classes[distances.isfinite()], distances[distances.isfinite()]
        (tensor([0]), tensor([1.]))
    """
    if features.ndim != 2 or prototypes.ndim != 2 or features.shape[1] != prototypes.shape[1]:
        shapes = tuple(features.shape), tuple(prototypes.shape)
        raise refuse('features, prototypes', '(N, D), (K, D)', shapes)
    num_classes = prototypes.shape[0]
    top_k = min(check_integer('top_k', top_k, '[1, inf)'), num_classes)

    # Squared distance less a constant of the row; around the mean, less is lost to rounding.
    centre = prototypes.mean(dim=0)
    offsets = prototypes - centre
    rough = torch.addmm((offsets * offsets).sum(dim=1), features - centre, offsets.T, alpha=-2)
    classes = rough.topk(min(top_k + MARGIN, num_classes), dim=1, largest=False).indices
    distances = _paired_distances(features, prototypes, classes)

    # Not kthvalue, which older versions of torch refuse in deterministic mode on a GPU.
    edge, place = (part[:, -1:] for part in distances.topk(top_k, dim=1, largest=False))
    rough_edge = rough.gather(1, classes.gather(1, place))
    edge_ties = (rough == rough_edge).scatter(1, classes, False)
    return classes, distances.masked_fill(distances > edge, torch.inf), edge_ties
