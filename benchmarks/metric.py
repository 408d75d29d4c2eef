"""Time and memory of LongTailMetric at the scale of iNaturalist 2018.

python benchmarks/metric.py [--classes 8142] [--images 24426]
"""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Sequence
from typing import Any

import torch
from mmpretrain.registry import METRICS
from side_by_side import Row, cost, shown

import mmlt  # noqa: F401  registers everything


def fill(metric: Any, images: int, classes: int, batch_size: int) -> None:
    """Feed random scores, batch by batch."""
    generator = torch.Generator().manual_seed(0)
    for start in range(0, images, batch_size):
        number = min(batch_size, images - start)
        scores = torch.rand(number, classes, generator=generator)
        batch = [
            dict(gt_label=torch.tensor([(start + i) % classes]), pred_score=scores[i])
            for i in range(number)
        ]
        metric.process(None, batch)


def main(argv: Sequence[str] | None = None) -> list[Row]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--classes', type=int, default=8142)
    parser.add_argument('--images', type=int, default=24426)
    parser.add_argument('--batch-size', type=int, default=256)
    parser.add_argument('--repeats', type=int, default=5)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    metric = METRICS.build(dict(type='LongTailMetric'))
    metric.set_class_counts([2 + 998 * k // args.classes for k in range(args.classes)])
    fill(metric, args.images, args.classes, args.batch_size)
    kept = list(metric.results)
    compute = cost(lambda: metric.compute_metrics(kept), args.repeats, torch.device('cpu')).seconds
    size = f'{args.images:,} images, {args.classes:,} classes'
    scores, held = 4e-6 * args.images * args.classes, len(pickle.dumps(kept)) / 1e6
    return shown(
        [
            Row('metric, at the end of a test', size, None, 1e3 * compute, 'ms'),
            Row('metric, what it keeps, against all scores', size, scores, held, 'MB'),
        ]
    )


if __name__ == '__main__':
    main()
