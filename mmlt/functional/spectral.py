r"""Largest singular value of a big matrix by a few steps of Lanczos bidiagonalisation."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ['SingularTriplet', 'leading_singular_triplet', 'spectral_norm']

FIXED_STEPS = 8  # on an accelerator, where a stopping rule would make the host wait
MOST_STEPS = 16  # on a CPU, which stops on the residual
FEWEST_STEPS = 4  # a warm start can sit on a singular pair that is no longer the leading one
SQUARINGS = 20


class SingularTriplet(NamedTuple):
    """Leading singular value with its vectors, ``matrix @ right = value * left``.

    Args:
        value: scalar.
        left: ``(K,)``, unit length (0 for a zero matrix).
        right: ``(K,)``, likewise; the sign is such that it does not sum to less than 0, which
            makes both vectors of a non-negative matrix non-negative.

    Example:
        >>> leading_singular_triplet(torch.tensor([[0.0, 2.0], [0.0, 0.0]])).left
        tensor([1., 0.])
    """

    value: Tensor
    left: Tensor
    right: Tensor


def spectral_norm(matrix: Tensor, row_weights: Tensor | None = None, start: Tensor | None = None,
                  exact: bool = False, max_steps: int | None = None,
                  tolerance: float = 1e-3) -> Tensor:
    r"""Weighted spectral norm :math:`\|\operatorname{diag}(w)\,C\|_2`, differentiable.

    The gradient is :math:`\operatorname{diag}(w)\,u v^\top`, with the leading singular vectors
    held constant; it is itself not differentiable.

    Args:
        matrix: ``(K, L)`` floating point; for a confusion matrix row = true class.
        row_weights: ``(K,)`` non-negative, or None for 1.
        start: ``(L,)`` guess of the right singular vector; None for the mean of the rows and a
            constant, which suits a non-negative matrix.
        exact: full singular value decomposition; for small matrices and tests.
        max_steps: Lanczos steps of two matrix-vector products. None: up to 16 on a CPU, which
            stops when the residual is small, and always 8 elsewhere, without a host
            synchronisation.
        tolerance: relative residual at which a CPU stops.

    Returns:
        Scalar.

    Raises:
        ValueError: if the shapes disagree or ``max_steps`` is below 1.

    Reference:
        CAR (Zhu et al., CVPR 2026); Golub and Kahan, SIAM J. Numer. Anal. 2 (1965). The released
        code decomposes the whole matrix in every step.

    Example:
        >>> spectral_norm(torch.tensor([[0.0, 2.0], [1.0, 0.0]]), torch.tensor([1.0, 3.0]))
        tensor(3.)
    """
    triplet = leading_singular_triplet(
        matrix, row_weights, start, exact, max_steps, tolerance)
    if not (torch.is_grad_enabled() and matrix.requires_grad):
        return triplet.value
    left = triplet.left if row_weights is None else triplet.left * row_weights
    with torch.autocast(matrix.device.type, enabled=False):
        linear = left @ (matrix.to(left.dtype) @ triplet.right)
    return triplet.value + (linear - linear.detach())


@torch.no_grad()
def leading_singular_triplet(matrix: Tensor, row_weights: Tensor | None = None,
                             start: Tensor | None = None, exact: bool = False,
                             max_steps: int | None = None,
                             tolerance: float = 1e-3) -> SingularTriplet:
    """Leading singular value and vectors of ``diag(row_weights) @ matrix``, without gradient.

    The weighted matrix is never formed. The right vectors are an orthonormal basis of the Krylov
    space of the start vector; the best approximation in it (Rayleigh-Ritz) is refined by one
    product that has been computed anyway.

    Args:
        matrix: ``(K, L)``.
        row_weights: ``(K,)`` or None.
        start: ``(L,)`` or None.
        exact: full decomposition (takes two more arrays of the size of ``matrix``).
        max_steps: see :func:`spectral_norm`.
        tolerance: see :func:`spectral_norm`.

    Returns:
        float32, or float64 if ``matrix`` is.

    Raises:
        ValueError: if the shapes disagree or ``max_steps`` is below 1.

    Example:
        >>> leading_singular_triplet(torch.diag(torch.tensor([3.0, 1.0]))).value
        tensor(3.)
    """
    _validate(matrix, row_weights, start, max_steps)
    if matrix.dtype != torch.float64:
        matrix = matrix.float()
    weights = None if row_weights is None else row_weights.to(matrix.dtype)
    with torch.autocast(matrix.device.type, enabled=False):
        if exact:
            return _decompose(matrix, weights)
        if start is None:
            start = matrix.mean(dim=0) + matrix.abs().amax() / matrix.shape[1]
        return _lanczos(matrix, weights, start.to(matrix.dtype), max_steps, tolerance)


def _lanczos(matrix: Tensor, weights: Tensor | None, start: Tensor, max_steps: int | None,
             tolerance: float) -> SingularTriplet:
    on_cpu = matrix.device.type == 'cpu'
    steps = max_steps or (MOST_STEPS if on_cpu else FIXED_STEPS)
    basis = start.new_empty(steps, start.numel())
    images = start.new_empty(steps, matrix.shape[0])
    returns = start.new_empty(steps, start.numel())
    vector = start
    for step in range(steps):
        basis[step] = _next_direction(vector, basis[:step])
        images[step] = _times(matrix, weights, basis[step])
        returns[step] = vector = _times_transposed(matrix, weights, images[step])
        done = step + 1
        if on_cpu and FEWEST_STEPS <= done < steps:
            combination = _leading_combination(images[:done])
            # A Python number costs a CPU nothing; elsewhere the number of steps is fixed.
            if float(_residual(combination, basis[:done], images[:done],
                               returns[:done])) <= tolerance:
                break
    return _ritz_triplet(images[:done], returns[:done])


def _next_direction(vector: Tensor, basis: Tensor) -> Tensor:
    """``vector`` made orthogonal to ``basis`` (twice, as rounding demands), with length 1.

    Where nothing but rounding error is left, the space is exhausted and the direction is 0.
    """
    length = vector.norm()
    limit = 30 * torch.finfo(vector.dtype).eps * length
    for _ in range(2):
        vector = vector - basis.t() @ (basis @ vector)
        remaining = vector.norm()
        vector = torch.where(remaining > limit, vector / remaining, torch.zeros_like(vector))
        limit = torch.zeros_like(limit)
    return vector


def _times(matrix: Tensor, weights: Tensor | None, vector: Tensor) -> Tensor:
    product = torch.mv(matrix, vector)
    return product if weights is None else product * weights


def _times_transposed(matrix: Tensor, weights: Tensor | None, vector: Tensor) -> Tensor:
    return torch.mv(matrix.t(), vector if weights is None else vector * weights)


def _leading_combination(images: Tensor) -> Tensor:
    """Coefficients ``(m,)`` of the basis vectors in the leading Ritz vector."""
    gram = images @ images.t()
    if gram.device.type == 'cpu':
        return torch.linalg.eigh(gram).eigenvectors[:, -1]
    # An eigensolver on an accelerator reports to the host whether it converged. Squaring the
    # small matrix again and again leaves the projector on its leading eigenvector.
    tiny = torch.finfo(gram.dtype).tiny
    for _ in range(SQUARINGS):
        gram = gram / gram.diagonal().sum().clamp(min=tiny)
        gram = gram @ gram
    column = gram.index_select(1, gram.diagonal().argmax().reshape(1)).squeeze(1)
    return column / column.norm().clamp(min=tiny)


def _residual(combination: Tensor, basis: Tensor, images: Tensor, returns: Tensor) -> Tensor:
    """How far the Ritz vector is from a singular vector, relative to the singular value."""
    square = (combination @ images).square().sum().clamp(min=torch.finfo(images.dtype).tiny)
    return (combination @ returns / square - combination @ basis).norm()


def _ritz_triplet(images: Tensor, returns: Tensor) -> SingularTriplet:
    """Best approximation in the Krylov space; its product with the matrix is the right vector."""
    tiny = torch.finfo(images.dtype).tiny
    combination = _leading_combination(images)
    left = combination @ images
    length = left.norm().clamp(min=tiny)
    right = combination @ returns / length
    value = right.norm()
    return _oriented(value, left / length, right / value.clamp(min=tiny))


def _decompose(matrix: Tensor, weights: Tensor | None) -> SingularTriplet:
    weighted = matrix if weights is None else matrix * weights[:, None]
    left, values, right = torch.linalg.svd(weighted, full_matrices=False)
    return _oriented(values[0], left[:, 0], right[0])


def _oriented(value: Tensor, left: Tensor, right: Tensor) -> SingularTriplet:
    sign = torch.where(right.sum() < 0, -1.0, 1.0).to(right.dtype)
    return SingularTriplet(value, left * sign, right * sign)


def _validate(matrix: Tensor, row_weights: Tensor | None, start: Tensor | None,
              max_steps: int | None) -> None:
    if matrix.ndim != 2 or matrix.numel() == 0:
        raise ValueError(
            f'matrix: expected two non-empty dimensions, got shape {tuple(matrix.shape)}')
    for name, vector, size in (('row_weights', row_weights, matrix.shape[0]),
                               ('start', start, matrix.shape[1])):
        if vector is not None and vector.shape != (size,):
            raise ValueError(f'{name}: expected shape ({size},), got {tuple(vector.shape)}')
    if max_steps is not None and max_steps < 1:
        raise ValueError(f'max_steps: expected at least 1, got {max_steps}')
