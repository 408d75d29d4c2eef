"""Vectors of class names as a start for a classifier of features."""

from __future__ import annotations

from torch import Tensor

from .contrastive import unit_vectors

__all__ = ['mean_directions', 'to_features']


def mean_directions(vectors: Tensor) -> Tensor:
    """The mean of vectors that are made as long as each other, of length 1 again.

    Args:
        vectors: ``(T, K, E)``, of ``T`` texts about each of ``K`` classes.

    Returns:
        ``(K, E)``, of length 1.

    Reference:
        Radford et al., Learning Transferable Visual Models From Natural Language Supervision
        (CLIP), ICML 2021, section 3.1.4, whose released code averages like this.

    Example:
        >>> import torch
        >>> mean_directions(torch.tensor([[[5.0, 0.0]], [[0.0, 1.0]]]))
        tensor([[0.7071, 0.7071]])
    """
    return unit_vectors(unit_vectors(vectors).sum(dim=0))


def to_features(embeddings: Tensor, projection: Tensor) -> Tensor:
    r"""Vectors of the joint space as vectors of the features before the projection.

    With features :math:`x`, projection :math:`P` and embedding :math:`t`,
    :math:`\langle P x, t \rangle = \langle x, P^\top t \rangle`: :math:`P^\top t` scores an image
    as :math:`t` does. A cosine classifier also divides by the length of :math:`P^\top t`, which
    depends on the class, so that it begins near CLIP's zero-shot classifier and not at it.

    Args:
        embeddings: ``(K, E)``.
        projection: ``(E, D)``.

    Returns:
        ``(K, D)``, of length 1.

    Reference:
        Shi et al., Long-Tail Learning with Foundation Model: Heavy Fine-Tuning Hurts (LIFT), ICML
        2024, whose released code does this (``init_head_text_feat``).

    Example:
        >>> import torch
        >>> projection = torch.tensor([[3.0, 0.0, 4.0], [0.0, 1.0, 0.0]])
        >>> to_features(torch.tensor([[1.0, 0.0]]), projection)
        tensor([[0.6000, 0.0000, 0.8000]])
    """
    return unit_vectors(embeddings @ projection)
