"""Sums over classes and images, with the Bessel function of mpmath."""

import math

import mpmath


def log_normalizer(kappa, dim):
    """``log C_D(kappa) - log C_D(0)``, for numbers."""
    order = mpmath.mpf(dim) / 2 - 1
    at_zero = order * mpmath.log(2) + mpmath.loggamma(order + 1)
    if kappa == 0:
        return 0.0
    return float(order * mpmath.log(kappa) - mpmath.log(mpmath.besseli(order, kappa)) - at_zero)


def proco_loss(vectors, labels, means, kappas, prior, temperature):
    """Mean over the vectors; ``means`` are unit vectors."""
    total = 0.0
    for vector, label in zip(vectors, labels, strict=True):
        logits = []
        for mean, kappa, share in zip(means, kappas, prior, strict=True):
            joint = [kappa * m + v / temperature for m, v in zip(mean, vector, strict=True)]
            length = math.sqrt(sum(x * x for x in joint))
            dim = len(vector)
            ratio = log_normalizer(kappa, dim) - log_normalizer(length, dim)
            logits.append(ratio + math.log(share))
        top = max(logits)
        total += top + math.log(sum(math.exp(x - top) for x in logits)) - logits[label]
    return total / len(labels)
