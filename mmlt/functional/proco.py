r"""Probabilistic contrastive learning: every class as a distribution on the sphere.

A contrastive loss needs many keys of each class, and a batch has few or none of a rare one. If the
features of a class follow a von Mises-Fisher distribution with mean direction :math:`\mu_k` and
concentration :math:`\kappa_k`, the loss over infinitely many keys has a closed form.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .checks import check_integer, check_number, refuse

__all__ = ['MAX_CONCENTRATION', 'concentration', 'log_normalizer', 'proco_logits']

#: As in the released code; reached by a class of one image, whose directions do not differ.
MAX_CONCENTRATION = 1e5


def concentration(mean_length: Tensor, dim: int) -> Tensor:
    r"""Estimated :math:`\kappa` of directions whose mean has a given length.

    Args:
        mean_length: :math:`\bar R`, the length of the mean of unit vectors, in ``[0, 1]``.
        dim: of the vectors, ``D``, at least 2.

    Returns:
        :math:`\bar R (D - \bar R^2) / (1 - \bar R^2)`, at most :data:`MAX_CONCENTRATION`; of the
        shape of ``mean_length``.

    Reference:
        Banerjee et al., Clustering on the Unit Hypersphere using von Mises-Fisher Distributions,
        JMLR 2005, eq. 4.4; ProCo, eq. 9.

    Example:
        >>> concentration(torch.tensor([0.0, 0.5, 1.0]), dim=3)
        tensor([0.0000e+00, 1.8333e+00, 1.0000e+05])
    """
    check_integer('dim', dim, '[2, inf)')
    length = mean_length.clamp(0, 1)
    rest = (1 - length.square()).clamp(min=torch.finfo(length.dtype).tiny)
    return (length * (dim - length.square()) / rest).clamp(max=MAX_CONCENTRATION)


def log_normalizer(kappa: Tensor, dim: int) -> Tensor:
    r""":math:`\log C_D(\kappa)` of the von Mises-Fisher density :math:`C_D(\kappa)\,e^{\kappa \mu
    \cdot z}`, less the part that depends on ``D`` alone.

    :math:`\log C_D = \nu \log \kappa - \log I_\nu(\kappa) + const` with the modified Bessel
    function of order :math:`\nu = D/2 - 1`, by its uniform expansion for large orders. Differences
    to :math:`\kappa = 0` are right to 1e-5 from ``D = 16`` on, to 1e-6 from 32 and to 1e-7 from 64;
    the gradient has no singularity at 0.

    Args:
        kappa: any shape, at least 0; float64 for the precision above.
        dim: ``D``, at least 4.

    Returns:
        Of the shape of ``kappa``.

    Reference:
        Olver, Asymptotics and Special Functions, 1974, chapter 10, section 7 (NIST DLMF 10.41.3).

    Example:
        >>> values = log_normalizer(torch.tensor([0.0, 10.0], dtype=torch.float64), dim=128)
        >>> round(float(values[0] - values[1]), 4)
        0.3895
    """
    order = check_integer('dim', dim, '[4, inf)') / 2 - 1
    x = kappa / order
    root = torch.sqrt(1 + x.square())
    t = 1 / root
    t2 = t.square()
    series = 1 + t * (3 - 5 * t2) / (24 * order)
    series = series + t2 * (81 - 462 * t2 + 385 * t2**2) / (1152 * order**2)
    series = series + (
        t * t2 * (30375 - 369603 * t2 + 765765 * t2**2 - 425425 * t2**3) / (414720 * order**3)
    )
    return order * (torch.log1p(root) - root) + root.log() / 2 - series.log()


def proco_logits(
    embeddings: Tensor, means: Tensor, kappa: Tensor, temperature: float = 0.1
) -> Tensor:
    r"""Logits of the contrastive loss over infinitely many keys of each class.

    .. math::
        \log \mathrm{E}\,e^{z \cdot z' / T} = \log C_D(\kappa_k) - \log C_D(\tilde\kappa_k),
        \qquad \tilde\kappa_k = \|\kappa_k \mu_k + z / T\|_2

    for a key :math:`z'` of class :math:`k`. The loss is the cross-entropy of these logits with the
    log prior added. The length is taken from inner products: no ``(N, K, D)`` tensor is made.

    Args:
        embeddings: ``(N, D)`` of unit length.
        means: ``(K, D)`` mean directions :math:`\mu_k`, of unit length, or zero where unknown.
        kappa: ``(K,)`` concentrations; 0 is the uniform distribution.
        temperature: ``T``, above 0.

    Returns:
        ``(N, K)``, of the type of ``embeddings``, at least float32; computed in float64.

    Reference:
        Du et al., Probabilistic Contrastive Learning for Long-Tailed Visual Recognition, TPAMI
        2024, eq. 12 to 14.

    Example:
        >>> means = torch.eye(2, 16)
        >>> logits = proco_logits(means[:1], means, torch.tensor([50.0, 50.0]), temperature=1.0)
        >>> bool(logits[0, 0] > logits[0, 1])
        True
    """
    check_number('temperature', temperature, '(0, inf)')
    if embeddings.ndim != 2 or means.ndim != 2 or embeddings.shape[1] != means.shape[1]:
        expected = f'(K, {embeddings.shape[-1]}) for embeddings (N, {embeddings.shape[-1]})'
        raise refuse('means', expected, tuple(means.shape))
    if kappa.shape != means.shape[:1]:
        raise refuse('kappa', f'({len(means)},), as means has', tuple(kappa.shape))
    dtype = torch.promote_types(embeddings.dtype, torch.float32)
    dim = embeddings.shape[1]
    with torch.autocast(embeddings.device.type, enabled=False):
        # Differences of large numbers: kappa is up to 1e5.
        vectors, means, kappa = embeddings.double(), means.double(), kappa.double()
        squared = (
            (kappa * means.norm(dim=1)).square()
            + (vectors.square().sum(dim=1, keepdim=True) / temperature**2)
            + (2 / temperature) * kappa * (vectors @ means.T)
        )
        tiny = torch.finfo(squared.dtype).tiny
        logits = log_normalizer(kappa, dim) - log_normalizer(squared.clamp(min=tiny).sqrt(), dim)
    return logits.to(dtype)
