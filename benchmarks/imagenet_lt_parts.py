"""Start-up, loader and losses of an ImageNet-LT recipe, each alone in this process, one thread.

python benchmarks/imagenet_lt_parts.py startup|loader|losses CONFIG

It is started by imagenet_lt_rehearsal.py, in a folder with data/imagenet_lt, and its last line is
JSON. Seconds are those of the processor, which on a machine that others use as well differ less
from run to run than those on the wall; start-up has both, since it reads files.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STARTED = (time.perf_counter(), time.process_time())
ROOT = Path(__file__).resolve().parents[1]
RANKS, BATCH = 8, 32  # of the recipe
Report = dict[str, Any]


class Stopped(Exception):
    """The run has come to its first step."""


class Times:
    """Seconds on the wall and of the processor, by name, in the order of beginning."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    @contextmanager
    def of(self, name: str, begun: tuple[float, float] | None = None) -> Iterator[None]:
        """Time a block, or from ``begun`` to its end."""
        wall, cpu = begun or (time.perf_counter(), time.process_time())
        self.seconds.setdefault(name, [0.0, 0.0])
        try:
            yield
        finally:
            spent = (time.perf_counter() - wall, time.process_time() - cpu)
            self.seconds[name] = [a + b for a, b in zip(self.seconds[name], spent, strict=True)]

    def around(self, owner: Any, method: str, name: Callable[..., str]) -> None:
        """Time every call of a method; ``name`` is called with its arguments."""
        original = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.of(name(*args, **kwargs)):
                return original(*args, **kwargs)

        setattr(owner, method, timed)


def startup(config: str) -> Report:
    """What one process does before its first step, in parts that do not overlap."""
    times = Times()
    with times.of('import', STARTED):
        import train
        from mmengine.hooks import Hook
        from mmengine.runner import Runner
        from preflight import find_faults, read_config

    class Stop(Hook):
        priority = 'LOWEST'

        def before_train_epoch(self, runner: Runner) -> None:
            raise Stopped

    arguments = [str(ROOT / config), '--work-dir', 'startup', '--launcher', 'none']
    with times.of('read the config'):
        args = train.parse_args(arguments)
        cfg = train.merge_args(read_config(args.config), args)
    with times.of('look for faults: lists and a few images'):
        lines = find_faults(cfg, train.LOADERS)
    assert not lines, lines
    with times.of('build network and hooks'):
        runner = Runner.from_cfg(cfg)
    runner.register_hook(Stop())

    def name_of_loader(loader: Any, *args: Any, **kwargs: Any) -> str:
        training = 'PairedDataset' in str(loader['dataset']['type'])
        return f'lists and samplers: {"training" if training else "validation"}'

    times.around(runner, 'build_dataloader', name_of_loader)
    times.around(runner, '_init_model_weights', lambda: 'initial weights')
    times.around(runner, 'call_hook', lambda name, **kwargs: f'hooks: {name}')
    whole = Times()
    try:
        with whole.of('train'):
            runner.train()
    except Stopped:
        pass
    known = {key: value for key, value in times.seconds.items() if key != 'hooks: load'}
    return {'seconds': known, 'train_seconds': whole.seconds['train'], **_sizes(runner)}


def _sizes(runner: Any) -> Report:
    """MB of the list as it is packed, and seconds for the batches of a rank's epoch."""
    loader = runner.train_loop.dataloader
    data, sampler = loader.dataset.dataset, loader.batch_sampler
    inner = getattr(sampler, 'batch_sampler', sampler)
    sampler_of_images = inner.sampler
    sampler_of_images.rank, sampler_of_images.world_size = 0, RANKS
    begun = time.process_time()
    batches = len(list(inner))
    return {
        'images': len(data),
        'packed_list_mb': (data.data_bytes.nbytes + data.data_address.nbytes) / 1e6,
        'pickled_dataset_mb': len(pickle.dumps(loader.dataset)) / 1e6,
        'batches_of_an_epoch': batches,
        'epoch_seconds': time.process_time() - begun,
    }


def loader(config: str) -> Report:
    """Images a second of one process: the recipe, its parts, views on the device, validation."""
    import cv2
    import torch
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmpretrain.registry import DATASETS

    import mmlt  # noqa: F401  registers everything

    init_default_scope('mmpretrain')
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    cfg = Config.fromfile(str(ROOT / config))
    other = Config.fromfile(str(ROOT / config.replace('.py', '_device_views.py')))
    paired = DATASETS.build(cfg.train_dataloader.dataset)
    single = DATASETS.build(other.train_dataloader.dataset)
    validation = DATASETS.build(cfg.val_dataloader.dataset)
    read = {
        'reading and decoding': lambda i, j: paired.dataset.pipeline.transforms[0](
            paired.get_data_info(i)
        ),
        'batches that are not mixed': lambda i, j: paired[i, None],
        'mixed batches': lambda i, j: paired[i, j],
        'views on the device, not mixed': lambda i, j: single[i, None],
        'views on the device, mixed': lambda i, j: single[i, j],
        'validation': lambda i, j: validation[i % len(validation)],
    }
    return {'images_per_second': _rates(read, len(paired)), 'sample_bytes': _bytes(paired[0, 1])}


def _rates(read: dict[str, Callable[[int, int], Any]], size: int) -> dict[str, float]:
    """Images per second of the processor, in turn, so that a slow minute hits all alike."""
    import numpy as np
    from numpy.random import default_rng

    rng = default_rng(0)
    spent: dict[str, list[float]] = {name: [] for name in read}
    images = 24
    for turn in range(6):
        indices = rng.integers(size, size=(images, 2)).tolist()
        for name, call in read.items():
            begun = time.process_time()
            for i, j in indices:
                call(i, j)
            if turn:  # the first warms up
                spent[name].append((time.process_time() - begun) / images)
    return {name: 1 / float(np.median(seconds)) for name, seconds in spent.items()}


def _bytes(node: Any) -> int:
    """Of the tensors in a sample."""
    import torch

    if isinstance(node, torch.Tensor):
        return node.nbytes
    if isinstance(node, dict):
        return sum(map(_bytes, node.values()))
    return sum(map(_bytes, node)) if isinstance(node, (list, tuple)) else 0


def losses(config: str) -> Report:
    """Time and memory of what the method adds, for the gathered batch of the recipe's 8 ranks."""
    import torch
    from imagenet_lt_tree import class_counts
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmpretrain.registry import MODELS
    from side_by_side import cost

    from mmlt.models import ContrastiveClsHead  # noqa: F401  registers everything

    init_default_scope('mmpretrain')
    torch.set_num_threads(1)
    torch.manual_seed(0)
    head = MODELS.build(Config.fromfile(str(ROOT / config)).model.head).train()
    for part in head.modules():
        if hasattr(part, 'set_class_counts'):
            part.set_class_counts(class_counts())
    images, classes, channels = RANKS * BATCH, head.num_classes, 1024
    prototypes = torch.randn(classes, channels, requires_grad=True)
    clean = torch.randn(images, 2, channels, requires_grad=True)
    logits = torch.randn(2 * images, classes, requires_grad=True)
    labels = torch.randint(classes, (images,))
    scores = torch.rand(BATCH, classes).softmax(1)
    features = torch.randn(BATCH, 2048, requires_grad=True)

    def classification() -> None:
        head.loss_module(head.fc(features), scores, avg_factor=BATCH).backward()

    def backward_of_prototypes() -> None:
        head.prototypes().sum().backward()

    calls: dict[str, Callable[[], Any]] = {
        'classifier and its loss': classification,
        'prototypes from the classifier': backward_of_prototypes,
        'semantic labels': lambda: head.rectifier(clean[:BATCH, 0].detach(), prototypes, scores),
        'contrastive loss (BCL)': lambda: head.loss_bcl(clean, labels, prototypes).backward(),
        'CAR': lambda: head.loss_car(logits, labels.repeat(2)).backward(),
    }
    told = {}
    for name, call in calls.items():
        spent = cost(call, 3, torch.device('cpu'))
        told[name] = {'ms': 1e3 * spent.seconds, 'peak_mb': spent.peak_bytes / 1e6}
    matrix = sum(b.nbytes for n, b in head.named_buffers()) / 1e6
    return {'parts': told, 'head_buffers_mb': matrix, 'gathered_images': images}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure one part and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    measures = {'startup': startup, 'loader': loader, 'losses': losses}
    parser.add_argument('part', choices=measures)
    parser.add_argument('config', help='relative to the repository')
    args = parser.parse_args(argv)
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    told = measures[args.part](args.config)
    print(f'\n{json.dumps(told)}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
