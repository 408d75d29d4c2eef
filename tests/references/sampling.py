"""Slow, obvious forms of the class laws and of what the samplers promise."""

from __future__ import annotations

import numpy as np


def class_law(class_counts, power):
    """p_k ~ n_k**power, empty classes 0."""
    mass = [count**power if count else 0.0 for count in class_counts]
    return np.array([m / sum(mass) for m in mass])


def effective_number_law(class_counts, beta):
    """Each image weighs 1 / (1 + beta + beta^2 + ...), n_k terms."""
    mass = [n / sum(beta**i for i in range(n)) if n else 0.0 for n in class_counts]
    return np.array([m / sum(mass) for m in mass])


def pair_law(confusion, class_counts, normalize=False):
    """(K, K) probabilities of (true, predicted) pairs; all 0 if there is no pair."""
    num_classes = len(class_counts)
    law = np.zeros((num_classes, num_classes))
    for i in range(num_classes):
        for j in range(num_classes):
            if i != j and class_counts[i] and class_counts[j]:
                law[i, j] = confusion[i][j] / (max(sum(confusion[i]), 1) if normalize else 1)
    return law / law.sum() if law.sum() else law


def partner_law(confusion, class_counts, normalize=False):
    """(K, K): row i is the law of the partner's class of an anchor of class i."""
    pairs = pair_law(confusion, class_counts, normalize)
    law = pairs + pairs.T
    balanced = class_law(class_counts, 0)
    for i in range(len(law)):
        law[i] = law[i] / law[i].sum() if law[i].sum() else balanced
    return law


def repeats_before_exhaustion(images, labels):
    """Whether some image comes again before every image of its class has come as often."""
    times = np.zeros(len(labels), dtype=int)
    for image in images:
        times[image] += 1
        of_class = times[labels == labels[image]]
        if of_class.max() - of_class.min() > 1:
            return True
    return False


def chi_square_p_value(observed, expected):
    """p-value of observed counts under expected ones; cells expected empty must be empty."""
    from scipy.stats import chi2

    observed, expected = np.ravel(observed).astype(float), np.ravel(expected).astype(float)
    possible = expected > 0
    if observed[~possible].any():
        return 0.0
    observed, expected = observed[possible], expected[possible]
    if len(expected) < 2:
        return 1.0
    statistic = ((observed - expected) ** 2 / expected).sum()
    return float(chi2.sf(statistic, len(expected) - 1))
