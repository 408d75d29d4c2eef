"""Intervals, calibration and priors by loops and by definition, as slow and obvious as possible."""

from __future__ import annotations


def wilson_by_search(correct, images, z, steps=200000):
    """The shares that a score test does not refuse: (p - share)^2 <= z^2 p (1 - p) / n."""
    share = correct / images
    kept = [
        p / steps
        for p in range(steps + 1)
        if (p / steps - share) ** 2 <= z**2 * (p / steps) * (1 - p / steps) / images
    ]
    return min(kept), max(kept)


def calibration_error(confidence, correct, bins):
    total = 0.0
    for b in range(bins):
        inside = [
            (c, r)
            for c, r in zip(confidence, correct, strict=True)
            if (b / bins < c <= (b + 1) / bins) or (b == 0 and c == 0)
        ]
        if inside:
            gap = sum(c for c, _ in inside) / len(inside) - sum(r for _, r in inside) / len(inside)
            total += len(inside) / len(confidence) * abs(gap)
    return total


def accuracy_of_a_resampled_test_set(accuracies, images_of_class):
    """Right images of a test set with so many images of each class."""
    right = sum(a * n for a, n in zip(accuracies, images_of_class, strict=True))
    return right / sum(images_of_class)
