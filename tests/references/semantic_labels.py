"""Rectified labels of ConCutMix, one image and one class at a time."""

from __future__ import annotations

import math


def semantic_scores(features, prototypes, scores, class_counts, top_k, omega):
    rectified, gammas = [], []
    for feature, area in zip(features, scores, strict=True):
        distances = [float((feature - prototype).norm()) for prototype in prototypes]
        edge = sorted(distances)[min(top_k, len(distances)) - 1]
        if min(distances) == 0:
            closeness = [float(d == 0) for d in distances]
        else:
            closeness = [1 / d if d <= edge else 0.0 for d in distances]
        mean_count = sum(n * float(t) for n, t in zip(class_counts, area, strict=True))
        log_counts = sum(math.log(n) for n in class_counts if n > 0)
        gamma = omega * math.log(mean_count) / log_counts if log_counts > 0 else 0.0
        gamma = min(max(gamma, 0.0), 1.0)
        total = sum(closeness)
        rectified.append(
            [
                gamma * c / total + (1 - gamma) * float(t)
                for c, t in zip(closeness, area, strict=True)
            ]
        )
        gammas.append(gamma)
    return rectified, gammas
