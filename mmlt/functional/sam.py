"""The step uphill of sharpness-aware minimisation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .checks import check_number

__all__ = ['ascent_step']


def ascent_step(gradients: Sequence[Tensor], rho: float) -> list[Tensor]:
    r"""The step of length ``rho`` along the gradient, :math:`\rho\, g / \|g\|_2`.

    The norm is that of all tensors together, so a factor on the loss, such as that of loss scaling,
    changes nothing.

    Args:
        gradients: tensors of any shapes.
        rho: length of the step, above 0, in units of the weights.

    Returns:
        One tensor for each gradient. All zero if the gradient is, or is not finite (an overflow of
        float16).

    Reference:
        Foret et al., Sharpness-Aware Minimization for Efficiently Improving Generalization, ICLR
        2021, eq. 2.

    Example:
        >>> ascent_step([torch.tensor([3.0]), torch.tensor([-4.0])], rho=0.5)
        [tensor([0.3000]), tensor([-0.4000])]
    """
    check_number('rho', rho, '(0, inf)')
    if not gradients:
        return []
    wide = [torch.promote_types(gradient.dtype, torch.float32) for gradient in gradients]
    parts = [g.to(dtype).norm() for g, dtype in zip(gradients, wide, strict=True)]
    norm = torch.linalg.vector_norm(torch.stack([part.to(parts[0].dtype) for part in parts]))
    usable = norm.isfinite() & (norm > 0)
    factor = torch.where(usable, rho / norm, torch.zeros_like(norm))
    return [
        torch.where(usable, gradient * factor.to(gradient.device), 0.0).to(gradient.dtype)
        for gradient in gradients
    ]
