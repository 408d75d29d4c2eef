"""Time and memory of a CAR step, beside the released formulation.

python benchmarks/car.py [--classes 100 1000 8142] [--released-at 100 1000] [--device cpu]

One thread, N=256 in float32: estimate, spectral norm and backward, median of several. The
released formulation multiplies one-hot matrices, blends whole matrices and decomposes the result;
at K=8142 it takes minutes, so it runs there only if --released-at says so, and once.

The floor is a matrix-vector product, which reads the 4 K^2 bytes of the estimate once. Memory is
the most that a step holds beyond what lasts (estimate and logits); at small K the (N, K) arrays
dominate it.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from side_by_side import Row, cost, shown
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
) -> list[Row]:
    """Rows of one number of classes."""
    weights = frequency_weights(exponential_class_counts(1000, classes, 100)).float().to(device)
    stream = batches(classes, images, device)
    step = mmlt_step(stream, weights, options)
    for _ in range(3):
        step()
    ours = cost(step, repeats, device)
    matrix = torch.rand(classes, classes, device=device)
    product = cost(lambda: torch.mv(matrix, weights), 5 * repeats, device)
    floor, released = 'a matrix-vector product', 'one-hot products, SVD and backward'
    size = f'N={images}, K={classes:,}'

    def row(other: str, plain: float, own: float, unit: str) -> Row:
        return Row(f'CAR step in float32, against {other}', size, plain, own, unit)

    rows = [
        row(floor, 1e3 * product.seconds, 1e3 * ours.seconds, 'ms'),
        row('its estimate, 4 K²', 4e-6 * classes**2, ours.peak_bytes / 1e6, 'MB'),
    ]
    if with_released:
        theirs = released_step(stream, weights)
        if classes > 2000:
            begun = time.process_time()
            theirs()
            seconds = time.process_time() - begun
        else:
            seconds, peak_bytes = cost(theirs, min(repeats, 5), device)
            rows.append(row(released, peak_bytes / 1e6, ours.peak_bytes / 1e6, 'MB'))
        rows.append(row(released, 1e3 * seconds, 1e3 * ours.seconds, 'ms'))
    return rows


def main(argv: Sequence[str] | None = None) -> list[Row]:
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
    rows = []
    for classes in args.classes:
        with_released = classes in args.released_at
        rows += shown(
            measure(classes, args.images, args.repeats, with_released, options, args.device)
        )
    return rows


if __name__ == '__main__':
    main()
