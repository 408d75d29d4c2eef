"""Accuracy where the classes are not as frequent as in the test set."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..checks import refuse
from ..counts import class_prior
from .tallies import FloatArray

__all__ = ['accuracy_under_prior', 'reversed_prior', 'reweighted']


def accuracy_under_prior(accuracy: Any, prior: Any) -> float:
    r"""Expected accuracy where class ``k`` has the share :math:`\pi_k` of the images.

    The predictions stay as they are: the model is not told the prior.

    Args:
        accuracy: ``(K,)`` class accuracies, ``nan`` for a class without test images.
        prior: ``(K,)`` shares, non-negative, no unit; made to sum to 1 over the tested classes.

    Returns:
        In [0, 1]; ``nan`` if no tested class has a share.

    Raises:
        ValueError: if the shapes disagree or a share is negative.

    Example:
        >>> round(accuracy_under_prior([1.0, 0.5], [0.9, 0.1]), 2)
        0.95
    """
    values, shares = np.asarray(accuracy, dtype=float), np.asarray(prior, dtype=float)
    if values.ndim != 1 or values.shape != shares.shape:
        raise refuse('accuracy, prior', 'one shape (K,)', (values.shape, shares.shape))
    if not (shares >= 0).all():
        raise refuse('prior', 'shares of at least 0', prior)
    known = ~np.isnan(values)
    total = shares[known].sum()
    return float((values * shares)[known].sum() / total) if total > 0 else float('nan')


def reversed_prior(class_counts: Any) -> FloatArray:
    """The training prior turned round: the rarest class is as frequent as the largest was.

    Args:
        class_counts: ``(K,)`` training images per class. Of classes with equal counts, the one
            with the lower index counts as more frequent.

    Returns:
        ``(K,)``, sum 1.

    Reference:
        Hong et al., LADE, CVPR 2021, the "backward" test distributions.

    Example:
        >>> reversed_prior([6, 1, 3])
        array([0.1, 0.6, 0.3])
    """
    shares: FloatArray = class_prior(class_counts).numpy()
    order = np.argsort(-shares, kind='stable')
    turned = np.empty_like(shares)
    turned[order] = shares[order[::-1]]
    return turned


def reweighted(probabilities: Any, log_weights: Any) -> FloatArray:
    r"""Probabilities :math:`p_k w_k`, made to sum to 1 again.

    With :math:`w_k = \rho_k / \pi_k` this is Bayes' rule for a model that was trained under the
    prior :math:`\pi` and is used under :math:`\rho`.

    Args:
        probabilities: ``(N, K)``, non-negative.
        log_weights: ``(K,)``, :math:`\log w_k`; ``-inf`` for a class that does not occur.

    Returns:
        ``(N, K)``; a row of zeros where all that has a probability has no weight.

    Example:
        >>> reweighted([[0.5, 0.5]], np.log([3.0, 1.0]))
        array([[0.75, 0.25]])
    """
    with np.errstate(divide='ignore'):
        scores = np.log(np.asarray(probabilities, dtype=np.float64)) + log_weights
    best = scores.max(axis=1, keepdims=True)
    scores = np.exp(scores - np.where(np.isfinite(best), best, 0))
    total = scores.sum(axis=1, keepdims=True)
    shares: FloatArray = scores / np.where(total > 0, total, 1)
    return shares
