"""Bringing the evaluation results of all ranks together, in the order of the data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ['interleave_ranks']


def interleave_ranks(parts: Sequence[NDArray[np.int32]], size: int) -> NDArray[np.int32]:
    """Rows of all ranks in the order of the data set, without the sampler's padding.

    The host's samplers give image ``i`` to rank ``i % world_size`` and repeat images at the end
    until every rank has the same number.

    Args:
        parts: one ``(N_r, M)`` array per rank, in rank order; lengths may differ by the images
            that the sampler does not pad.
        size: images in the data set; what follows is padding.

    Returns:
        ``(min(size, sum N_r), M)``.

    Example:
        >>> interleave_ranks([np.array([[0], [2]]), np.array([[1], [0]])], size=3).ravel()
        array([0, 1, 2])
    """
    world_size = len(parts)
    position = np.concatenate(
        [np.arange(len(part)) * world_size + rank for rank, part in enumerate(parts)]
    )
    filled = [part for part in parts if len(part)] or list(parts[:1])
    return np.concatenate(filled)[np.argsort(position, kind='stable')][:size]
