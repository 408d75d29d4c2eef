r"""Leading singular triplet by Lanczos bidiagonalisation, reading the matrix twice a step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ['SingularTriplet', 'lanczos_triplet', 'oriented_triplet', 'start_from_rows']

FIXED_STEPS = 8  # on an accelerator, where a stopping rule would make the CPU wait
MOST_STEPS = 16  # on a CPU, which stops on the residual
FEWEST_STEPS = 4  # a warm start can sit on a singular pair that is no longer the leading one
SQUARINGS = 20  # a power of 2**20, which tells eigenvalues apart that differ by 1e-5
START_PART = 0.3  # of each part of a start vector, beside a previous vector of length 1


class SingularTriplet(NamedTuple):
    """Leading singular value with its vectors, ``matrix @ right = value * left``.

    Args:
        value: scalar.
        left: ``(K,)``, unit length (0 for a zero matrix).
        right: ``(L,)``, likewise; it does not sum to less than 0, which makes both vectors of a
            non-negative matrix non-negative.
    """

    value: Tensor
    left: Tensor
    right: Tensor


def start_from_rows(rows: Tensor, weights: Tensor) -> Tensor:
    """A start vector in which the sum of the rows, the strongest row and a constant have a part.

    An iteration finds nothing that is orthogonal to its start. The singular vectors of a
    non-negative matrix have a part of the sum; a matrix with one row far above the others
    (a rare class that has just come in) has a singular vector near that row.

    Args:
        rows: ``(P, L)``.
        weights: ``(P,)``.

    Returns:
        ``(L,)``, of a length of about 1/2.
    """
    lengths = torch.linalg.vector_norm(rows, dim=1)
    strongest = rows.index_select(0, (weights * lengths).argmax().reshape(1)).squeeze(0)
    return START_PART * (
        _unit(rows.t() @ weights) + _unit(strongest) + _unit(torch.ones_like(strongest))
    )


def _unit(vector: Tensor) -> Tensor:
    unit: Tensor = vector / vector.norm().clamp(min=torch.finfo(vector.dtype).tiny)
    return unit


def lanczos_triplet(
    matrix: Tensor, weights: Tensor, start: Tensor, tolerance: float = 1e-3
) -> SingularTriplet:
    """Leading singular triplet of ``diag(weights) @ matrix``, which is never formed.

    The basis spans the Krylov space of the start vector, orthonormal; each step multiplies its
    newest vector with the matrix and back. The best approximation in the space (Rayleigh-Ritz)
    is refined by the way back, which has been computed anyway.

    Args:
        matrix: ``(K, L)`` float32 or float64, without gradient.
        weights: ``(K,)``.
        start: ``(L,)``, any length but 0.
        tolerance: residual, relative to the singular value, at which a CPU stops.

    Returns:
        The triplet, oriented.
    """
    on_cpu = matrix.device.type == 'cpu'
    steps = MOST_STEPS if on_cpu else FIXED_STEPS
    # On an accelerator the time is that of launching some hundred small operations.
    transposed, squares = matrix.t(), weights.square()
    basis = start.new_empty(steps, start.numel())
    products: list[Tensor] = []
    returns: list[Tensor] = []
    vector = start
    for step in range(steps):
        direction = _next_direction(vector, basis[:step])
        basis[step] = direction
        products.append(torch.mv(matrix, direction))
        vector = torch.mv(transposed, products[-1] * squares)
        returns.append(vector)
        if on_cpu and FEWEST_STEPS <= step + 1 < steps:
            images, ways_back = torch.stack(products) * weights, torch.stack(returns)
            combination = _leading_combination(images)
            if _residual(combination, basis[: step + 1], images, ways_back) <= tolerance:
                break
    return _ritz_triplet(torch.stack(products) * weights, torch.stack(returns))


def _next_direction(vector: Tensor, basis: Tensor) -> Tensor:
    """``vector`` made orthogonal to ``basis`` (twice, as rounding demands), with length 1.

    Where nothing but rounding error is left, the space is exhausted and the direction is 0.
    """
    precision = torch.finfo(vector.dtype)
    limit = vector.norm() * (30 * precision.eps)
    if len(basis):
        transposed = basis.t()
        for _ in range(2):
            vector = torch.addmv(vector, transposed, torch.mv(basis, vector), alpha=-1)
    remaining = vector.norm()
    direction: Tensor = vector * ((remaining > limit) / remaining.clamp(min=precision.tiny))
    return direction


def _leading_combination(images: Tensor) -> Tensor:
    """Coefficients ``(m,)`` of the basis vectors in the leading Ritz vector."""
    gram = images @ images.t()
    if gram.device.type == 'cpu':
        leading: Tensor = torch.linalg.eigh(gram).eigenvectors[:, -1]
        return leading
    return _leading_by_squaring(gram)


def _leading_by_squaring(gram: Tensor) -> Tensor:
    """Leading eigenvector of a small positive matrix, for which no CPU has to wait.

    An eigensolver on an accelerator reports to the CPU whether it converged. Squaring the matrix
    again and again leaves the projector on its leading eigenvector.
    """
    tiny = torch.finfo(gram.dtype).tiny
    for number in range(SQUARINGS):
        if number % 4 == 0:  # of a trace of 1 the leading eigenvalue is 1 / m at least
            gram = gram / gram.diagonal().sum().clamp(min=tiny)
        gram = gram @ gram
    column = gram.index_select(1, gram.diagonal().argmax().reshape(1)).squeeze(1)
    leading: Tensor = column / column.norm().clamp(min=tiny)
    return leading


def _residual(combination: Tensor, basis: Tensor, images: Tensor, returns: Tensor) -> Tensor:
    """How far the Ritz vector is from a singular vector, relative to the singular value."""
    square = (combination @ images).square().sum().clamp(min=torch.finfo(images.dtype).tiny)
    residual: Tensor = (combination @ returns / square - combination @ basis).norm()
    return residual


def _ritz_triplet(images: Tensor, returns: Tensor) -> SingularTriplet:
    """Best approximation in the Krylov space; its product with the matrix is the right vector."""
    tiny = torch.finfo(images.dtype).tiny
    combination = _leading_combination(images)
    left = combination @ images
    length = left.norm().clamp(min=tiny)
    right = combination @ returns / length
    value = right.norm()
    return oriented_triplet(value, left / length, right / value.clamp(min=tiny))


def oriented_triplet(value: Tensor, left: Tensor, right: Tensor) -> SingularTriplet:
    """The triplet with the sign that its docstring promises.

    Args:
        value: scalar.
        left: ``(K,)``.
        right: ``(L,)``.

    Returns:
        Both vectors negated if ``right`` sums to less than 0.
    """
    sign = torch.where(right.sum() < 0, -1.0, 1.0).to(right.dtype)
    return SingularTriplet(value, left * sign, right * sign)
