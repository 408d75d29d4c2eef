"""A whole training step of ConCutMix + CAR on a CPU: what the method costs, what bfloat16 gains.

python benchmarks/training_step.py [--batch-size 128] [--repeats 5] [--classes 100]

One thread, median processor time of several; ResNet-32 at 32 px, three views, random pixels. The
recipe is configs/cifar100_lt/resnet32_concutmix_car_ir100.py, with mixed batches and rectified
labels throughout, which is when it costs most.

First a step in float32 is split. Its backbone and the rest are differentiated one after
the other, with the gradient of the features handed over; the sum is that of a whole step.
`mixing` is all that a batch with partners costs beyond the same batch without: normalising the
partners, the box, one-hot and mixed scores. Then come whole steps, as
tools/train.py runs them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from side_by_side import Row, shown
from torch import nn

import mmlt  # noqa: F401  registers everything
from mmlt.autocast import CPUAutocastOptimWrapper
from mmlt.functional.imbalance import exponential_class_counts

CONFIG = (
    Path(__file__).resolve().parents[1]
    / 'configs'
    / 'cifar100_lt'
    / 'resnet32_concutmix_car_ir100.py'
)
VIEWS, SIZE, EPOCHS = 3, 32, 200
METHOD = ('mixing', 'projection, losses and labels')

Seconds = dict[str, float]
Batch = dict[str, Any]


def build_model(classes: int) -> nn.Module:
    """The recipe's model in its last epoch, with the class counts of a long tail."""
    cfg = Config.fromfile(CONFIG)
    cfg.model.head.num_classes = cfg.data_preprocessor.num_classes = classes
    cfg.model.data_preprocessor = cfg.data_preprocessor
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    counts = exponential_class_counts(500, classes, 100)
    progress = dict(epoch=EPOCHS - 1, max_epochs=EPOCHS, iteration=0, seed=0)
    for part in (*model.modules(), *model.data_preprocessor.batch_augments.augments):
        if hasattr(part, 'set_class_counts'):
            part.set_class_counts(counts)
        if hasattr(part, 'set_progress'):
            part.set_progress(**progress)
    return model.train()


def build_batch(batch_size: int, classes: int) -> Batch:
    """Uint8 views and labels, as the loader's workers hand them over."""
    generator = torch.Generator().manual_seed(0)

    def images() -> torch.Tensor:
        return torch.randint(
            256, (batch_size, 3, SIZE, SIZE), generator=generator, dtype=torch.uint8
        )

    def samples() -> list[DataSample]:
        labels = torch.randint(classes, (batch_size,), generator=generator)
        return [DataSample().set_gt_label(label) for label in labels]

    return dict(
        inputs=[images() for _ in range(VIEWS)],
        data_samples=samples(),
        partner=dict(inputs=images(), data_samples=samples()),
    )


def fresh(batch: Batch, partner: bool = True) -> Batch:
    """The same batch with samples that no step has written into."""

    def copied(part: Batch) -> Batch:
        return dict(
            inputs=part['inputs'], data_samples=[sample.new() for sample in part['data_samples']]
        )

    made = copied({key: batch[key] for key in ('inputs', 'data_samples')})
    return {**made, 'partner': copied(batch['partner'])} if partner else made


@contextmanager
def timed(seconds: Seconds, name: str) -> Iterator[None]:
    """Add the processor time of the block to ``seconds[name]``."""
    begun = time.process_time()
    yield
    seconds[name] = seconds.get(name, 0.0) + time.process_time() - begun


def split_step(model: nn.Module, optimizer: OptimWrapper, batch: Batch) -> Seconds:
    """One float32 step in parts."""
    parts: Seconds = {}
    unmixed, mixed = fresh(batch, partner=False), fresh(batch)
    with timed(parts, 'normalising the views'):
        model.data_preprocessor(unmixed, training=True)
    with timed(parts, 'mixing'):
        data = model.data_preprocessor(mixed, training=True)
    parts['mixing'] -= parts['normalising the views']
    images = torch.cat(data['inputs'])
    with timed(parts, 'backbone forward'):
        features = model.backbone(images)
    leaf = features[-1].detach().requires_grad_()
    with timed(parts, 'projection, losses and labels'):
        losses = model.head.loss(model.neck((leaf,)), data['data_samples'])
        total, _ = model.parse_losses(losses)
        total.backward()
    with timed(parts, 'backbone backward'):
        features[-1].backward(leaf.grad)
    with timed(parts, 'optimiser'):
        optimizer.step()
        optimizer.zero_grad()
    return parts


def whole_steps(classes: int, batch: Batch) -> Mapping[str, Callable[[], Any]]:
    """Kind of arithmetic to a whole training step."""

    def step(channels_last: bool, wrapper: type[OptimWrapper]) -> Callable[[], Any]:
        model = build_model(classes)
        if channels_last:
            model.to(memory_format=torch.channels_last)
        optimizer = wrapper(sgd(model))
        return lambda: model.train_step(fresh(batch), optimizer)

    return {
        'float32': step(False, OptimWrapper),
        'float32, channels_last': step(True, OptimWrapper),
        'bfloat16 autocast': step(False, CPUAutocastOptimWrapper),
        'bfloat16 autocast, channels_last': step(True, CPUAutocastOptimWrapper),
    }


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)


def medians(measure: Callable[[], Seconds], repeats: int) -> Seconds:
    """Median of each part over ``repeats`` calls, after one that is not counted."""
    measure()
    collected: dict[str, list[float]] = defaultdict(list)
    for _ in range(repeats):
        for name, seconds in measure().items():
            collected[name].append(seconds)
    return {name: statistics.median(values) for name, values in collected.items()}


def in_turn(calls: Mapping[str, Callable[[], Any]]) -> Seconds:
    """Seconds of each call, one after the other, so that a slow minute hits them all."""
    seconds: Seconds = {}
    for name, call in calls.items():
        with timed(seconds, name):
            call()
    return seconds


def main(argv: Sequence[str] | None = None) -> list[Row]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--batch-size', type=int, default=128)
    parser.add_argument('--classes', type=int, default=100)
    parser.add_argument('--repeats', type=int, default=5)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    batch = build_batch(args.batch_size, args.classes)

    model = build_model(args.classes)
    optimizer = OptimWrapper(sgd(model))
    parts = medians(lambda: split_step(model, optimizer, batch), args.repeats)
    total = sum(parts.values())
    size = f'batch {args.batch_size}, three views, K={args.classes}'
    rows = [
        Row(f'{name}, share of a step in float32', size, None, 100 * seconds / total, '%')
        for name, seconds in {**parts, 'all of the method': sum(map(parts.get, METHOD))}.items()
    ]
    whole = whole_steps(args.classes, batch)
    plain, *others = medians(lambda: in_turn(whole), args.repeats).items()
    rows += [
        Row(
            f'step of ConCutMix + CAR in {name}, against {plain[0]}',
            size,
            1e3 * plain[1],
            1e3 * seconds,
            'ms',
        )
        for name, seconds in others
    ]
    return shown(rows)


if __name__ == '__main__':
    main()
