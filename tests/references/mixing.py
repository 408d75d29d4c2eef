"""Slow, obvious forms of mixing, its labels and the counts of confusion pairs."""

from __future__ import annotations

import numpy as np
import torch


def mixup_pixels(image, partner, lam):
    """One image as MMPretrain's ``Mixup`` mixes it, with a Python number."""
    return lam * image + (1 - lam) * partner


def cutmix_pixels(image, partner, box):
    """Pixel by pixel."""
    mixed = image.clone()
    y0, y1, x0, x1 = box
    for y in range(image.shape[-2]):
        for x in range(image.shape[-1]):
            if y0 <= y < y1 and x0 <= x < x1:
                mixed[..., y, x] = partner[..., y, x]
    return mixed


def prior_weight(lam, n_i, n_j, tau):
    first, second = lam * n_i**-tau, (1 - lam) * n_j**-tau
    return first / (first + second)


def remix_weight(lam, n_i, n_j, kappa, tau):
    if n_i >= kappa * n_j and lam < tau:
        return 0.0
    if n_j >= kappa * n_i and 1 - lam < tau:
        return 1.0
    return lam


def label_weight(rule, lam, n_i, n_j, tau=1.0, kappa=3.0):
    if rule == 'linear':
        return lam
    if rule == 'remix':
        return remix_weight(lam, n_i, n_j, kappa, 0.5)
    return prior_weight(lam, n_i, n_j, tau)


def unimix_factor(lam, n_i, n_j):
    """Walk along the circle of circumference 1 from ``lam`` by the shift."""
    return (lam + n_j / (n_i + n_j)) % 1.0


def mixed_labels(scores, partner_scores, weights):
    rows = [w * s + (1 - w) * p for w, s, p in zip(weights, scores, partner_scores, strict=True)]
    return torch.stack(rows)


def count_pairs(logits, targets, mixed='skip'):
    """(K, K) of one batch, image by image; a batch with a mixed label is left out."""
    num_classes = logits.shape[1]
    counts = torch.zeros(num_classes, num_classes, dtype=torch.int32)
    if mixed == 'skip' and any(t.ndim and t.max() < 1 - 1e-6 for t in targets):
        return counts
    for row, target in zip(logits, targets, strict=True):
        if not torch.isfinite(row.max()):
            continue
        if target.ndim:
            target = target.argmax()
        counts[int(target), int(row.argmax())] += 1
    return counts


def in_batch_law(confusion, anchors, candidates, normalize=False):
    """(N, M) probabilities of each candidate image as the partner of each anchor."""
    confusion = np.asarray(confusion, dtype=float).copy()
    if normalize:
        confusion /= np.maximum(confusion.sum(1), 1)[:, None]
    np.fill_diagonal(confusion, 0)
    law = np.zeros((len(anchors), len(candidates)))
    for row, anchor in enumerate(anchors):
        present = sorted(set(candidates))
        mass = {k: confusion[anchor, k] + confusion[k, anchor] for k in present}
        if not any(mass.values()):
            mass = dict.fromkeys(present, 1.0)
        for column, k in enumerate(candidates):
            law[row, column] = mass[k] / sum(mass.values()) / list(candidates).count(k)
    return law
