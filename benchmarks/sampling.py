"""Seconds and memory that an epoch's indices take at the size of iNaturalist 2018.

437,513 images and 8,142 classes; the class sizes are made up (a power law from 1,000 to 2).

Usage: python benchmarks/sampling.py [--repeats 5]
"""

from __future__ import annotations

import argparse
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from side_by_side import Row, shown

from mmlt.datasets import ClassBalancedSampler, PairBatchSampler, PairSampler

NUM_CLASSES, NUM_IMAGES = 8142, 437_513


class Labels:
    """A data set that has labels only."""

    def __init__(self, labels: np.ndarray) -> None:
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def get_gt_labels(self) -> np.ndarray:
        """``(M,)`` int64."""
        return self.labels


def made_up_labels() -> np.ndarray:
    """Shuffled labels of a long tail with iNaturalist's totals."""
    sizes = 1000.0 * np.arange(1, NUM_CLASSES + 1) ** -0.35
    sizes = np.maximum(2, sizes * NUM_IMAGES / sizes.sum()).astype(int)
    sizes[0] += NUM_IMAGES - sizes.sum()
    return np.random.default_rng(0).permutation(np.repeat(np.arange(NUM_CLASSES), sizes))


def made_up_errors(num_errors: int = 300_000) -> torch.Tensor:
    """``confusion[true, predicted]`` with that many errors, ``(K, K)`` int64."""
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randint(NUM_CLASSES, (2, num_errors), generator=generator)
    counts = torch.zeros(NUM_CLASSES, NUM_CLASSES, dtype=torch.int64)
    return counts.index_put_(tuple(pairs), torch.tensor(1), accumulate=True)


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Time one epoch of every sampler."""
    parser = argparse.ArgumentParser(description='Seconds that an epoch of indices takes.')
    parser.add_argument('--repeats', type=int, default=5)
    args = parser.parse_args(argv)
    data, errors = Labels(made_up_labels()), made_up_errors()
    confusion = PairSampler(data, partners='confusion', pairing='pairs', seed=0)
    confusion_batches = PairBatchSampler(confusion, batch_size=512)

    def confusion_epoch() -> Iterable[Any]:
        confusion.set_confusion_counts(errors)
        return confusion_batches

    epochs: dict[str, Callable[[], Iterable[Any]]] = {
        'class-balanced': ClassBalancedSampler(data, seed=0).__iter__,
        'class-aware without replacement': ClassBalancedSampler(
            data, replacement=False, seed=0
        ).__iter__,
        'pairs, balanced': PairBatchSampler(PairSampler(data, seed=0), batch_size=512).__iter__,
        'pairs, confusion (with new counts)': confusion_epoch,
    }
    size = f'{NUM_IMAGES:,} images, {NUM_CLASSES:,} classes'
    rows = []
    for name, epoch in epochs.items():
        seconds = []
        for _ in range(args.repeats):
            start = time.process_time()
            list(epoch())
            seconds.append(time.process_time() - start)
        tracemalloc.start()
        list(epoch())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        what = f"an epoch's indices, {name}"
        rows.append(Row(what, size, None, statistics.median(seconds), 's'))
        rows.append(Row(what, size, None, peak / 1e6, 'MB'))
    return shown(rows)


if __name__ == '__main__':
    main()
