"""Time of LongTailMetric at the scale of iNaturalist 2018.

python benchmarks/metric.py [--classes 8142] [--images 24426]
"""

from __future__ import annotations

import argparse
import pickle
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmpretrain.registry import METRICS

import mmlt  # noqa: F401  registers everything


def fill(metric: Any, images: int, classes: int, batch_size: int) -> float:
    """Feed random scores; seconds spent inside ``process``."""
    generator = torch.Generator().manual_seed(0)
    spent = 0.0
    for start in range(0, images, batch_size):
        number = min(batch_size, images - start)
        scores = torch.rand(number, classes, generator=generator)
        batch = [
            dict(gt_label=torch.tensor([(start + i) % classes]), pred_score=scores[i])
            for i in range(number)
        ]
        begun = time.perf_counter()
        metric.process(None, batch)
        spent += time.perf_counter() - begun
    return spent


def best_of(repeats: int, action: Callable[[], Any]) -> float:
    """Shortest of several durations, in seconds."""
    durations = []
    for _ in range(repeats):
        begun = time.perf_counter()
        action()
        durations.append(time.perf_counter() - begun)
    return min(durations)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--classes', type=int, default=8142)
    parser.add_argument('--images', type=int, default=24426)
    parser.add_argument('--batch-size', type=int, default=256)
    parser.add_argument('--repeats', type=int, default=5)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    metric = METRICS.build(dict(type='LongTailMetric'))
    metric.set_class_counts([2 + 998 * k // args.classes for k in range(args.classes)])
    process = fill(metric, args.images, args.classes, args.batch_size)
    kept = list(metric.results)
    compute = best_of(args.repeats, lambda: metric.compute_metrics(kept))
    print(
        '| classes | images | process (ms an image) | compute (ms) | kept (MB) | '
        'scores would be (MB) |'
    )
    print('| ---: | ---: | ---: | ---: | ---: | ---: |')
    print(
        f'| {args.classes} | {args.images} | {1e3 * process / args.images:.4f} | '
        f'{1e3 * compute:.1f} | {len(pickle.dumps(kept)) / 1e6:.2f} | '
        f'{4e-6 * args.images * args.classes:.0f} |'
    )


if __name__ == '__main__':
    main()
