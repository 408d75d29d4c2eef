"""The protocol of Cao et al. step by step, with numpy's global stream as their code has it."""

from __future__ import annotations

import numpy as np


def reference_exponential_counts(max_count: int, num_classes: int, ratio: float) -> list[int]:
    """Plain truncation, factor below one."""
    factor = 1 / ratio
    counts = []
    for k in range(num_classes):
        counts.append(int(max_count * (factor ** (k / (num_classes - 1.0)))))
    return counts


def reference_indices(labels: list[int], class_counts: list[int], seed: int) -> list[int]:
    """Search, shuffle and cut, one class after the other; absent classes are skipped."""
    saved = np.random.get_state()
    np.random.seed(seed)
    kept: list[int] = []
    for k in np.unique(labels):
        positions = np.array([i for i, label in enumerate(labels) if label == k])
        np.random.shuffle(positions)
        kept.extend(positions[: class_counts[k]].tolist())
    np.random.set_state(saved)
    return kept
