"""Time and memory of a CAR step, beside the released formulation.

python benchmarks/car.py [--classes 100 1000 8142] [--released-at 100 1000] [--device cpu]

One thread, N=256 in float32: estimate, spectral norm and backward, median of several. The
released formulation multiplies one-hot matrices, blends whole matrices and decomposes the result;
at K=8142 it takes minutes, so it runs there only if --released-at says so, and once.

The floor is a matrix-vector product, which reads the 4 K^2 bytes of the estimate once. Memory is
the most that a step holds beyond what lasts (estimate and logits), in units of 4 K^2 bytes; at
small K the (N, K) arrays dominate it.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from side_by_side import cost
from torch import Tensor

from mmlt.functional.confusion.soft import (
    ConfusionOptions,
    ConfusionState,
    confusion_norm_,
    label_pairs,
)
from mmlt.functional.counts import frequency_weights
from mmlt.functional.imbalance import exponential_class_counts

BETA = 0.5
COLUMNS = (
    'classes',
    'mmlt (ms)',
    'released (ms)',
    'times faster',
    'matrix-vector (ms)',
    'mmlt / matrix-vector',
    'mmlt memory / 4K^2',
    'released memory / 4K^2',
)

Batch = tuple[Tensor, Tensor]
Step = Callable[[], None]


def batches(classes: int, images: int, device: torch.device, count: int = 12) -> Iterator[Batch]:
    """Long-tailed batches in an endless circle; the logits favour the true class and the head."""
    generator = torch.Generator().manual_seed(0)
    counts = torch.tensor(exponential_class_counts(1000, classes, 100), dtype=torch.float32)
    made = []
    for _ in range(count):
        targets = torch.multinomial(counts, images, replacement=True, generator=generator)
        logits = torch.randn(images, classes, generator=generator) + 0.5 * counts.log()
        logits[torch.arange(images), targets] += 3
        made.append((logits.to(device), targets.to(device)))
    return itertools.cycle(made)


def mmlt_step(stream: Iterator[Batch], weights: Tensor, options: ConfusionOptions) -> Step:
    """The step behind CARLoss."""
    classes = weights.numel()
    state = ConfusionState(*(part.to(weights.device) for part in ConfusionState.zeros(classes)))

    def step() -> None:
        logits, targets = next(stream)
        leaf = logits.detach().requires_grad_()
        confusion_norm_(leaf, label_pairs(targets, classes), state, weights, options).backward()

    return step


def released_step(stream: Iterator[Batch], weights: Tensor) -> Step:
    """The released formulation, nothing detached: one-hot products and a decomposition."""
    classes = weights.numel()
    past = torch.zeros(classes, classes, device=weights.device)

    def step() -> None:
        nonlocal past
        logits, targets = next(stream)
        leaf = logits.detach().requires_grad_()
        one_hot = F.one_hot(targets, classes).to(leaf.dtype)
        gaps = leaf - (leaf * one_hot).sum(dim=1, keepdim=True)
        soft = gaps.sigmoid() * gaps.softmax(dim=1) * (1 - one_hot)
        batch = (one_hot.t() @ soft) / one_hot.sum(dim=0).clamp(min=1)[:, None]
        estimate = BETA * past + (1 - BETA) * batch
        torch.linalg.matrix_norm(torch.diag(weights) @ estimate, 2).backward()
        past = estimate.detach()

    return step


def measure(
    classes: int,
    images: int,
    repeats: int,
    with_released: bool,
    options: ConfusionOptions,
    device: torch.device,
) -> dict[str, float | str]:
    """One row of the table; what was not measured is left empty."""
    weights = frequency_weights(exponential_class_counts(1000, classes, 100)).float().to(device)
    stream = batches(classes, images, device)
    step = mmlt_step(stream, weights, options)
    for _ in range(3):
        step()
    ours = cost(step, repeats, device)
    matrix = torch.rand(classes, classes, device=device)
    product = cost(lambda: torch.mv(matrix, weights), 5 * repeats, device)
    unit = 4 * classes**2
    row: dict[str, float | str] = dict.fromkeys(COLUMNS, '')
    row |= {
        'classes': str(classes),
        'mmlt (ms)': 1e3 * ours.seconds,
        'matrix-vector (ms)': 1e3 * product.seconds,
        'mmlt / matrix-vector': ours.seconds / product.seconds,
        'mmlt memory / 4K^2': ours.peak_bytes / unit,
    }
    if with_released:
        released = released_step(stream, weights)
        if classes > 2000:
            begun = time.process_time()
            released()
            seconds = time.process_time() - begun
        else:
            seconds, peak_bytes = cost(released, min(repeats, 5), device)
            row['released memory / 4K^2'] = peak_bytes / unit
        row |= {'released (ms)': 1e3 * seconds, 'times faster': seconds / ours.seconds}
    return row


def table(rows: Sequence[dict[str, float | str]]) -> str:
    """The rows in Markdown."""
    lines = ['| ' + ' | '.join(COLUMNS) + ' |', '|' + ' ---: |' * len(COLUMNS)]
    for row in rows:
        cells = (f'{value:.4g}' if isinstance(value, float) else value for value in row.values())
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--classes', type=int, nargs='+', default=[100, 1000, 8142])
    parser.add_argument(
        '--released-at',
        type=int,
        nargs='*',
        default=[100, 1000],
        help='numbers of classes at which the released formulation runs too',
    )
    parser.add_argument('--images', type=int, default=256)
    parser.add_argument('--repeats', type=int, default=11)
    parser.add_argument('--absent-classes', choices=['decay', 'hold'], default='decay')
    parser.add_argument('--device', type=torch.device, default=torch.device('cpu'))
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    options = ConfusionOptions(beta=BETA, absent_classes=args.absent_classes)
    print(
        table(
            [
                measure(
                    classes,
                    args.images,
                    args.repeats,
                    classes in args.released_at,
                    options,
                    args.device,
                )
                for classes in args.classes
            ]
        )
    )


if __name__ == '__main__':
    main()
