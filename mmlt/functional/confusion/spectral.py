r"""Weighted spectral norm of a big matrix, without decomposing it."""

from __future__ import annotations

import torch
from torch import Tensor

from ..checks import check_flag, check_number, refuse
from .lanczos import SingularTriplet, lanczos_triplet, oriented_triplet, start_from_rows

__all__ = ['leading_singular_triplet', 'spectral_norm']


def spectral_norm(
    matrix: Tensor, row_weights: Tensor | None = None, exact: bool = False, tolerance: float = 1e-3
) -> Tensor:
    r"""Weighted spectral norm :math:`\|\operatorname{diag}(w)\,C\|_2`, differentiable.

    The gradient is :math:`\operatorname{diag}(w)\,u v^\top`, with the leading singular vectors
    held constant; it is itself not differentiable.

    Args:
        matrix: ``(K, L)`` floating point; for a confusion matrix row = true class. One of mixed
            signs, whose rows can cancel in the start of the iteration, is for ``exact``.
        row_weights: ``(K,)`` non-negative, or None for 1.
        exact: full singular value decomposition; for small matrices and tests.
        tolerance: relative residual at which a CPU stops, after at most 16 steps of two
            matrix-vector products. Elsewhere, where a look at the residual would make the CPU
            wait, there are always 8.

    Returns:
        Scalar, float32, or float64 if ``matrix`` is.

    Reference:
        CAR (Zhu et al., CVPR 2026); Golub and Kahan, SIAM J. Numer. Anal. 2 (1965). The released
        code decomposes the whole matrix in every step.

    Example:
        >>> norm = spectral_norm(torch.tensor([[0.0, 2.0], [1.0, 0.0]]), torch.tensor([1.0, 3.0]))
        >>> round(float(norm), 4)
        3.0
    """
    if matrix.ndim != 2 or matrix.numel() == 0:
        raise refuse('matrix', 'two non-empty dimensions', tuple(matrix.shape))
    if row_weights is None:
        row_weights = matrix.new_ones(matrix.shape[0])
    if row_weights.shape != matrix.shape[:1]:
        raise refuse('row_weights', f'shape {tuple(matrix.shape[:1])}', tuple(row_weights.shape))
    check_flag('exact', exact)
    check_number('tolerance', tolerance, '[0, inf)')
    triplet = leading_singular_triplet(matrix, row_weights, None, exact, tolerance)
    if not (torch.is_grad_enabled() and matrix.requires_grad):
        return triplet.value
    with torch.autocast(matrix.device.type, enabled=False):
        left = triplet.left * row_weights
        linear = left @ (matrix.to(left.dtype) @ triplet.right)
    return triplet.value + (linear - linear.detach())


@torch.no_grad()
def leading_singular_triplet(
    matrix: Tensor,
    row_weights: Tensor,
    start: Tensor | None = None,
    exact: bool = False,
    tolerance: float = 1e-3,
) -> SingularTriplet:
    """Leading singular value and vectors of ``diag(row_weights) @ matrix``, without gradient.

    Args:
        matrix: ``(K, L)``.
        row_weights: ``(K,)``.
        start: ``(L,)``, not orthogonal to the leading right vector, or None for
            :func:`start_from_rows`.
        exact: full decomposition (takes two more arrays of the size of ``matrix``).
        tolerance: see :func:`spectral_norm`.

    Returns:
        float32, or float64 if ``matrix`` is.
    """
    if matrix.dtype != torch.float64:
        matrix = matrix.float()
    weights = row_weights.to(matrix.dtype)
    with torch.autocast(matrix.device.type, enabled=False):
        if exact:
            weighted = matrix * weights[:, None]
            left, values, right = torch.linalg.svd(weighted, full_matrices=False)
            return oriented_triplet(values[0], left[:, 0], right[0])
        if start is None:
            start = start_from_rows(matrix, weights)
        return lanczos_triplet(matrix, weights, start.to(matrix.dtype), tolerance)
