"""Semantic labels of ConCutMix: exact top-k distances against the broadcast difference.

python benchmarks/semantic_labels.py [--images 256] [--classes 1000] [--channels 1024]

One thread, median processor time of several; memory is what a call holds beyond its arguments.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from side_by_side import Row, compare, shown
from torch import Tensor

from mmlt.functional.semantic_labels import semantic_scores


def broadcast_scores(
    features: Tensor,
    prototypes: Tensor,
    scores: Tensor,
    class_counts: Tensor,
    top_k: int,
    omega: float,
) -> Tensor:
    """The same labels by way of the ``(N, K, D)`` difference."""
    distances = (features[:, None] - prototypes[None]).pow(2).sum(dim=2).sqrt()
    edge = distances.kthvalue(min(top_k, prototypes.shape[0]), dim=1, keepdim=True).values
    closeness = torch.where(distances <= edge, 1 / distances, 0)
    similarity = closeness / closeness.sum(dim=1, keepdim=True)
    counts = class_counts.to(scores.dtype)
    gamma = omega * (scores @ counts).log() / counts.log().sum()
    return gamma[:, None] * similarity + (1 - gamma[:, None]) * scores


def main(argv: Sequence[str] | None = None) -> list[Row]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=256)
    parser.add_argument('--classes', type=int, default=1000)
    parser.add_argument('--channels', type=int, default=1024)
    parser.add_argument('--top-k', type=int, default=30)
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--device', type=torch.device, default='cpu')
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(args.images, args.channels, generator=generator).to(args.device)
    prototypes = torch.randn(args.classes, args.channels, generator=generator).to(args.device)
    scores = torch.rand(args.images, args.classes, generator=generator).softmax(1).to(args.device)
    counts = torch.randint(2, 1000, (args.classes,), generator=generator).to(args.device)
    given = (features, prototypes, scores, counts, args.top_k, 200 / 255)
    torch.testing.assert_close(semantic_scores(*given)[0], broadcast_scores(*given))
    return shown(
        compare(
            'semantic labels',
            f'N={args.images}, K={args.classes:,}, D={args.channels:,}',
            {'the broadcast `(N, K, D)` difference': lambda: broadcast_scores(*given)},
            lambda: semantic_scores(*given),
            args.repeats,
            args.device,
        )
    )


if __name__ == '__main__':
    main()
