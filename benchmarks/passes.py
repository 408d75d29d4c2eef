"""Passes over training data: what the loader delivers, what the step takes, and both; of gpu.py.

python benchmarks/passes.py [--repeats 7]

Alone it measures what an image of CIFAR-10-LT costs before the network sees it, on one CPU core:
the recipe's loader and preprocessor, where the loader augments and where the device (here the CPU)
does. CPU time of one process and thread; passes alternate; medians.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from data_path import write_photographs
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS
from side_by_side import Row, shown
from steps import build, fresh

from mmlt.apps.command_line import cores
from mmlt.datasets import LongTailMixin
from mmlt.datasets.samplers.positions import draw_by_position
from mmlt.functional.imbalance import exponential_class_counts
from mmlt.hooks.runner_parts import hold_images

__all__ = ['WAYS', 'Way', 'measure_passes']

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
PHOTOGRAPHS = 64


class Way(NamedTuple):
    """A method, and where its images are augmented."""

    net: str
    method: str
    where: str
    recipe: str
    images: int  # of a batch

    def __str__(self) -> str:
        return f'a pass: {self.net}: {self.method}, {self.where}'


SMALL, LARGE = 'ResNet-32, CIFAR-10-LT 100', 'ResNeXt-50, 224 pixels'
WAYS = (
    Way(SMALL, 'CE', 'loader', 'cifar10_lt/resnet32_ce_ir100', 128),
    Way(SMALL, 'CE', 'device', 'cifar10_lt/resnet32_ce_device_images_ir100', 128),
    Way(SMALL, 'ConCutMix + CAR', 'loader', 'cifar10_lt/resnet32_concutmix_car_ir100', 256),
    Way(
        SMALL,
        'ConCutMix + CAR',
        'device',
        'cifar10_lt/resnet32_concutmix_car_device_images_ir100',
        256,
    ),
    Way(LARGE, 'ConCutMix + CAR', 'loader', 'imagenet_lt/resnext50_concutmix_car', 64),
    Way(
        LARGE,
        'ConCutMix + CAR',
        'contrastive views on the device',
        'imagenet_lt/resnext50_concutmix_car_device_views',
        64,
    ),
)


@DATASETS.register_module(force=True)  # the tests load this file twice
class RandomCIFAR(LongTailMixin):
    """Random pixels in the form of CIFAR-10-LT at ratio 100; ``max_count`` images of class 0."""

    METAINFO = {'classes': tuple('abcdefghij')}

    def __init__(self, max_count: int = 5000, **kwargs: Any) -> None:
        self._counts = exponential_class_counts(max_count, 10, 100)
        super().__init__(ann_file='', **kwargs)

    def load_data_list(self) -> list[dict]:
        rng = np.random.default_rng(0)
        labels = np.repeat(np.arange(10), self._counts).tolist()
        images = rng.integers(256, size=(len(labels), 32, 32, 3), dtype=np.uint8)
        return [
            dict(img=image, gt_label=label) for image, label in zip(images, labels, strict=True)
        ]


def _loader(cfg: Config, way: Way, device: str, quick: bool, folder: Path) -> Any:
    """The recipe's loader, over data that is here; all cores where it makes images."""
    options = cfg.train_dataloader
    inner = options.dataset
    while 'dataset' in inner:
        inner = inner.dataset
    pipeline = inner.pipeline
    inner.clear()
    if way.net == SMALL:
        inner.update(type='RandomCIFAR', max_count=100 if quick else 5000, pipeline=pipeline)
    else:
        write_photographs(folder, 2 if quick else PHOTOGRAPHS)
        photographs = dict(type='CustomDataset', data_prefix=str(folder), pipeline=pipeline)
        times = 4 if quick else 10 * max(2, cores())  # ten batches of each worker
        inner.update(type='RepeatDataset', times=times, dataset=photographs)
    options.update(
        batch_size=2 if quick else way.images,
        collate_fn=dict(type='default_collate'),
        pin_memory=device == 'cuda',
    )
    if quick:
        options.update(num_workers=0, persistent_workers=False)
    else:  # the workers stay, so that a pass does not begin with starting them
        if way.where != 'device':
            options.num_workers = min(16, cores())
        options.persistent_workers = options.num_workers > 0
    init_default_scope('mmpretrain')
    loader = Runner.build_dataloader(options, seed=0)
    draw_by_position(loader, seed=0)
    return loader


def _shrink(part: Any) -> None:
    """Images of 224 and 320 pixels become small ones, in place."""
    smaller = {224: 32, 320: 48, (320, 320): (48, 48)}
    for key, value in part.items() if isinstance(part, dict) else ():
        if key in ('scale', 'crop_size', 'view_size') and value in smaller:
            part[key] = smaller[value]
        else:
            _shrink(value)
    for value in part if isinstance(part, (list, tuple)) else ():
        _shrink(value)


def measure_passes(way: Way, device: str, quick: bool) -> dict[str, Any]:
    """Images/s of the loader alone, of the step alone on one batch, and of both together."""
    with tempfile.TemporaryDirectory() as folder:
        cfg = Config.fromfile(str(CONFIGS / f'{way.recipe}.py'))
        if quick:
            _shrink(cfg)
        loader = _loader(cfg, way, device, quick, Path(folder))
        model, _ = build(cfg, 2, device)
        hold_images(loader.dataset, model.data_preprocessor)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
        wrapper = (
            AmpOptimWrapper(optimizer=optimizer, dtype='float16', loss_scale='dynamic')
            if device == 'cuda'
            else OptimWrapper(optimizer)
        )

        def batches() -> Iterator[Any]:
            return itertools.islice(loader, 2 if quick else None)

        def step(batch: Any) -> None:
            float(
                model.train_step(batch, wrapper)['loss'].detach()
            )  # MMEngine reads it too, for the log

        one = next(iter(loader))
        for _ in range(1 if quick else 5):
            step(fresh(one))
        seconds = []
        for _ in range(1 if quick else 10):
            seconds.append(_seconds(lambda: step(fresh(one))))
        passes = {}
        for name, use in (('loader', lambda batch: None), ('both', step)):
            seen = []

            def go(use: Any = use, seen: list[int] = seen) -> None:
                for batch in batches():
                    seen.append(len(_first(batch['inputs'])))
                    use(batch)

            passes[name] = _seconds(go), sum(seen)
    spent, images = passes['both']
    return dict(
        net=way.net,
        method=way.method,
        where=way.where,
        workers=loader.num_workers,
        loader=round(passes['loader'][1] / passes['loader'][0], 1),
        step=round(len(_first(one['inputs'])) / statistics.median(seconds), 1),
        both=round(images / spent, 1),
        # Of whole epochs only: of CIFAR-10-LT there are as many images as in earnest.
        seconds=round(spent, 2) if way.net == SMALL and not quick else None,
    )


def _seconds(call: Any) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def _first(inputs: Any) -> Any:
    return inputs[0] if isinstance(inputs, (list, tuple)) else inputs


def _ready(way: Way) -> tuple[Any, Any]:
    """Loader and preprocessor of a CIFAR recipe, in this process."""
    cfg = Config.fromfile(str(CONFIGS / f'{way.recipe}.py'))
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    loader = _loader(cfg, way._replace(where='device'), 'cpu', False, Path())
    preprocessor = build(cfg, 2, 'cpu')[0].data_preprocessor
    hold_images(loader.dataset, preprocessor)
    return loader, preprocessor


def main(argv: Sequence[str] | None = None) -> list[Row]:
    """Measure what an image costs, augmented in the loader and on the device; medians."""
    parser = argparse.ArgumentParser(description='CPU time of the CIFAR data path, for each image.')
    parser.add_argument('--repeats', type=int, default=7)
    parser.add_argument('--batches', type=int, default=4, help='in one pass')
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    rows = []
    for method in ('CE', 'ConCutMix + CAR'):
        ways = [way for way in WAYS if way.net == SMALL and way.method == method]
        ready = {way.where: _ready(way) for way in ways}
        spent: dict[str, list[float]] = {where: [] for where in ready}
        for turn in range(args.repeats + 1):
            for where, (loader, preprocessor) in ready.items():
                begun, images = time.process_time(), 0
                for batch in itertools.islice(loader, args.batches):
                    given = preprocessor(batch, training=True)
                    images += len(given['data_samples'])
                if turn:  # the first pass warms up
                    spent[where].append(1e3 * (time.process_time() - begun) / images)
        what = f'an image of {method} at 32 px, augmented on the device (a CPU) against the loader'
        medians = {where: statistics.median(values) for where, values in spent.items()}
        size = f'batches of {ways[0].images}'
        rows.append(Row(what, size, medians['loader'], medians['device'], 'ms'))
    return shown(rows)


if __name__ == '__main__':
    main()
