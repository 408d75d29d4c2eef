r"""Weighted spectral norm of a big matrix, without decomposing it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checks import check_integer, check_number, refuse
from .lanczos import SingularTriplet, lanczos_triplet, oriented_triplet, start_from_rows

__all__ = ['leading_singular_triplet', 'spectral_norm']


def spectral_norm(
    matrix: Tensor,
    row_weights: Tensor | None = None,
    start: Tensor | None = None,
    exact: bool = False,
    max_steps: int | None = None,
    tolerance: float = 1e-3,
) -> Tensor:
    r"""Weighted spectral norm :math:`\|\operatorname{diag}(w)\,C\|_2`, differentiable.

    The gradient is :math:`\operatorname{diag}(w)\,u v^\top`, with the leading singular vectors
    held constant; it is itself not differentiable.

    Args:
        matrix: ``(K, L)`` floating point; for a confusion matrix row = true class.
        row_weights: ``(K,)`` non-negative, or None for 1.
        start: ``(L,)`` guess of the right singular vector, of any length. It is mixed with
            :func:`start_from_rows`, since an iteration never leaves what its start is orthogonal
            to. That makes the start of a non-negative matrix safe; a matrix of mixed signs, whose
            rows can cancel, is for ``exact``.
        exact: full singular value decomposition; for small matrices and tests.
        max_steps: Lanczos steps of two matrix-vector products, at least 1. None: up to 16 on a
            CPU, which stops when the residual is small, and always 8 elsewhere, where a look at
            the residual would make the CPU wait.
        tolerance: relative residual at which a CPU stops.

    Returns:
        Scalar.

    Raises:
        ValueError: if the shapes disagree, or an option is out of range.

    Reference:
        CAR (Zhu et al., CVPR 2026); Golub and Kahan, SIAM J. Numer. Anal. 2 (1965). The released
        code decomposes the whole matrix in every step.

    Example:
        >>> norm = spectral_norm(torch.tensor([[0.0, 2.0], [1.0, 0.0]]), torch.tensor([1.0, 3.0]))
        >>> round(float(norm), 4)
        3.0
    """
    _check(matrix, row_weights, start, max_steps, tolerance)
    if start is not None and not exact:
        with torch.no_grad():
            wide = torch.promote_types(matrix.dtype, torch.float32)
            weights = None if row_weights is None else row_weights.to(wide)
            start = F.normalize(start.to(wide), dim=0) + start_from_rows(matrix.to(wide), weights)
    triplet = leading_singular_triplet(matrix, row_weights, start, exact, max_steps, tolerance)
    if not (torch.is_grad_enabled() and matrix.requires_grad):
        return triplet.value
    left = triplet.left if row_weights is None else triplet.left * row_weights
    with torch.autocast(matrix.device.type, enabled=False):
        linear = left @ (matrix.to(left.dtype) @ triplet.right)
    return triplet.value + (linear - linear.detach())


@torch.no_grad()
def leading_singular_triplet(
    matrix: Tensor,
    row_weights: Tensor | None = None,
    start: Tensor | None = None,
    exact: bool = False,
    max_steps: int | None = None,
    tolerance: float = 1e-3,
) -> SingularTriplet:
    """Leading singular value and vectors of ``diag(row_weights) @ matrix``, without gradient.

    The weighted matrix is never formed. The right vectors are an orthonormal basis of the Krylov
    space of the start vector; the best approximation in it (Rayleigh-Ritz) is refined by one
    product that has been computed anyway.

    Args:
        matrix: ``(K, L)``.
        row_weights: ``(K,)`` or None.
        start: ``(L,)``, not orthogonal to the leading right vector, or None for
            :func:`start_from_rows`.
        exact: full decomposition (takes two more arrays of the size of ``matrix``).
        max_steps: see :func:`spectral_norm`.
        tolerance: see :func:`spectral_norm`.

    Returns:
        float32, or float64 if ``matrix`` is.

    Example:
        >>> triplet = leading_singular_triplet(torch.diag(torch.tensor([3.0, 1.0])))
        >>> round(float(triplet.value), 4)
        3.0
    """
    if matrix.dtype != torch.float64:
        matrix = matrix.float()
    weights = None if row_weights is None else row_weights.to(matrix.dtype)
    with torch.autocast(matrix.device.type, enabled=False):
        if exact:
            return _decompose(matrix, weights)
        if start is None:
            start = start_from_rows(matrix, weights)
        return lanczos_triplet(matrix, weights, start.to(matrix.dtype), max_steps, tolerance)


def _decompose(matrix: Tensor, weights: Tensor | None) -> SingularTriplet:
    weighted = matrix if weights is None else matrix * weights[:, None]
    left, values, right = torch.linalg.svd(weighted, full_matrices=False)
    return oriented_triplet(values[0], left[:, 0], right[0])


def _check(
    matrix: Tensor,
    row_weights: Tensor | None,
    start: Tensor | None,
    max_steps: int | None,
    tolerance: float,
) -> None:
    if matrix.ndim != 2 or matrix.numel() == 0:
        raise refuse('matrix', 'two non-empty dimensions', tuple(matrix.shape))
    for name, vector, size in (
        ('row_weights', row_weights, matrix.shape[0]),
        ('start', start, matrix.shape[1]),
    ):
        if vector is not None and vector.shape != (size,):
            raise refuse(name, f'shape ({size},)', tuple(vector.shape))
    if max_steps is not None:
        check_integer('max_steps', max_steps, '[1, inf)')
    check_number('tolerance', tolerance, '[0, inf)')
