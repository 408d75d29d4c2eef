"""Step time and peak memory of each method on a GPU, beside plain cross-entropy of the same views.

python benchmarks/gpu.py [--minutes 4]
python benchmarks/gpu.py --device cpu --quick

ResNet-32 at 32 px and ResNet-50 at 224 px; float32 and automatic mixed precision with float16; the
backbone of one method also compiled. Random pixels, on the device already. A step is what
MMEngine's loop calls: preprocessing, mixing, forward, backward, optimiser. Median of several.

Then the data: images/s of the loader, of the step and of both, where the loader makes the images
and where the device does; with seconds per epoch of CIFAR-10-LT (random pixels, so that no file is
needed).

The figures go to docs/results/logs/gpu.json after each measurement, and tools/results.py makes
docs/results/gpu.md of them. What this file has of the same device and PyTorch is not measured
again, so that the same command measures what the time did not suffice for. With --quick
everything is tiny, which says whether it runs, and nothing is written without --out. Without a
CUDA device one line says so, and the status is 0.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from passes import WAYS, Way, measure_passes
from side_by_side import commit
from steps import Batch, build, fresh
from torch import Tensor, nn

from mmlt.autocast import CPUAutocastOptimWrapper
from mmlt.functional.checks import one_line

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / 'docs' / 'results' / 'logs' / 'gpu.json'
PLAIN, COMPILED = 'CE', 'ConCutMix + CAR'
KINDS = ('rows', 'passes')  # steps, and passes over the data


class Net(NamedTuple):
    """What is trained: recipes of its methods, images of a batch and their size."""

    name: str
    recipes: Mapping[str, str]
    images: int
    pixels: int


class Case(NamedTuple):
    """One measurement."""

    net: Net
    method: str
    views: int
    mixed: bool
    compiled: bool = False

    def __str__(self) -> str:
        extras = ', mixed precision' * self.mixed + ', compiled' * self.compiled
        return f'{self.net.name}: {self.method}, views: {self.views}{extras}'


RECIPES = {
    PLAIN: 'ce',
    'LA': 'logit_adjustment',
    'CAR': 'car',
    'CP-Mix': 'cpmix',
    'BCL': 'bcl',
    'ProCo': 'proco',
    COMPILED: 'concutmix_car',
}
NETS = (
    Net(
        'ResNet-32, 32 pixels, 100 classes',
        {name: f'cifar100_lt/resnet32_{leaf}_ir100' for name, leaf in RECIPES.items()},
        images=256,
        pixels=32,
    ),
    Net(
        'ResNet-50, 224 pixels, 1,000 classes',
        {
            name: f'imagenet_lt/resnet50_{leaf}'
            for name, leaf in {**RECIPES, 'ProCo': 'bcl'}.items()
        },
        images=64,
        pixels=224,
    ),
)
SEVERAL_VIEWS = {'BCL', 'ProCo', 'ConCutMix + CAR'}


class PlainViews(nn.Module):
    """Cross-entropy of every view: the preprocessing of a method with views, the network of CE."""

    def __init__(self, network: nn.Module, data_preprocessor: nn.Module) -> None:
        super().__init__()
        self.backbone, self.neck, self.head = network.backbone, network.neck, network.head
        self.data_preprocessor = data_preprocessor

    def train_step(self, data: Batch, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """As MMEngine's loop calls it."""
        with optim_wrapper.optim_context(self):
            data = self.data_preprocessor(data, training=True)
            views, samples = data['inputs'], data['data_samples']
            labels = torch.cat([sample.gt_label for sample in samples]).repeat(len(views))
            features = self.neck(self.backbone(torch.cat(views)))
            loss = F.cross_entropy(self.head(features), labels)
        optim_wrapper.update_params(loss)
        return {'loss': loss}


def recipe(net: Net, method: str) -> Config:
    """The config of a method; ProCo has no recipe for ImageNet-LT and takes that of BCL."""
    cfg = Config.fromfile(str(ROOT / 'configs' / f'{net.recipes[method]}.py'))
    if method == 'ProCo' and cfg.model.head.loss_bcl.type != 'ProCoLoss':
        cfg.model.head.loss_bcl = dict(
            type='ProCoLoss',
            num_classes=cfg.model.head.num_classes,
            embedding_channels=cfg.model.head.embedding_channels,
            temperature=0.1,
            loss_weight=1.0,
        )
    return cfg


def subject(case: Case, device: str) -> tuple[nn.Module, Batch]:
    """The model of a measurement and its batch."""
    images, pixels = case.net.images, case.net.pixels
    if case.method == PLAIN and case.views > 1:
        network, _ = build(recipe(case.net, PLAIN), 1, device, pixels)
        model, batch = build(recipe(case.net, 'BCL'), images, device, pixels)
        return PlainViews(network, model.data_preprocessor).to(device).train(), batch
    return build(recipe(case.net, case.method), images, device, pixels)


def measure(case: Case, device: str, warm_up: int, repeats: int) -> dict[str, Any]:
    """Median time of a step in ms, and the most memory that was held during steps in MB."""
    model, batch = subject(case, device)
    if case.compiled:
        # In place, so that the names of the parameters stay. On a CPU only the tracing is tried.
        model.backbone.compile(backend='inductor' if device == 'cuda' else 'eager')
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    if not case.mixed:
        wrapper = OptimWrapper(optimizer)
    elif device == 'cuda':
        wrapper = AmpOptimWrapper(optimizer=optimizer, dtype='float16', loss_scale='dynamic')
    else:
        wrapper = CPUAutocastOptimWrapper(optimizer)
    seconds, peak = [], None
    for turn in range(warm_up + repeats):
        data = fresh(batch)
        _wait(device)
        if turn == warm_up and device == 'cuda':
            torch.cuda.reset_peak_memory_stats()
        begun = time.perf_counter()
        model.train_step(data, wrapper)
        _wait(device)
        if turn >= warm_up:
            seconds.append(time.perf_counter() - begun)
    if device == 'cuda':
        peak = round(torch.cuda.max_memory_allocated() / 1e6, 1)
    half = 'float16' if device == 'cuda' else 'bfloat16'
    return dict(
        net=case.net.name,
        method=case.method,
        plain=case.method == PLAIN,
        views=case.views,
        images=case.net.images,
        arithmetic=half if case.mixed else 'float32',
        compiled=case.compiled,
        ms=round(1e3 * statistics.median(seconds), 3),
        mb=peak,
    )


def _wait(device: str) -> None:
    if device == 'cuda':
        torch.cuda.synchronize()


def cases(nets: Sequence[Net]) -> Iterator[Case]:
    """Steps that are measured, the most telling first, since the time may not suffice for all."""
    for mixed in (True, False):
        for net in nets:
            yield Case(net, PLAIN, 1, mixed)
            yield Case(net, PLAIN, 3, mixed)
            for method in net.recipes:
                if method != PLAIN:
                    yield Case(net, method, 3 if method in SEVERAL_VIEWS else 1, mixed)
    for net in nets:
        yield Case(net, PLAIN, 3, mixed=True, compiled=True)
        yield Case(net, COMPILED, 3, mixed=True, compiled=True)


def todo(nets: Sequence[Net]) -> list[Case | Way]:
    """All that is measured: passes after the steps in mixed precision."""
    steps = list(cases(nets))
    first = next(number for number, case in enumerate(steps) if not case.mixed)
    return [*steps[:first], *WAYS, *steps[first:]]


def _is_quick(case: Case) -> bool:
    return case.net.recipes is NETS[0].recipes and case.method in (PLAIN, COMPILED)


def earlier(out: Path | None, same: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Name of a measurement -> its row of a run before this one.

    Args:
        out: what that run has written, if anything. A file of something else is replaced, which is
            said.
        same: what must not have changed: device, PyTorch, sizes and repeats.
    """
    if out is None or not out.is_file():
        return {}
    try:
        known = json.loads(out.read_text(encoding='utf-8'))
        rows = {row['name']: row for kind in KINDS for row in known[kind]}
        before = {key: known[key] for key in same}
    except (ValueError, KeyError, TypeError, AttributeError):
        print(f'{out}: no figures of this benchmark, is replaced')
        return {}
    if before != same:
        print(f'{out}: figures of {before}, now {dict(same)}: is replaced')
        return {}
    return rows


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--device', choices=('cuda', 'cpu'), default='cuda')
    parser.add_argument('--quick', action='store_true', help='tiny sizes: does it run')
    parser.add_argument('--minutes', type=float, default=4.0, help='begin nothing after these')
    parser.add_argument('--repeats', type=int, default=10, help='timed steps of each method')
    parser.add_argument('--out', type=Path, help='default: docs/results/logs/gpu.json')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write; returns the exit status."""
    args = parse_args(argv)
    if args.device == 'cuda' and not torch.cuda.is_available():
        print(
            'benchmarks/gpu.py: no CUDA device here, so nothing was measured (--device cpu --quick)'
        )
        return 0
    nets, warm_up, repeats = NETS, 20, args.repeats
    if args.quick:
        nets = tuple(net._replace(images=2, pixels=32) for net in NETS)
        warm_up, repeats = 1, 1
    out = args.out or (OUT if args.device == 'cuda' and not args.quick else None)
    same = dict(
        device=torch.cuda.get_device_name() if args.device == 'cuda' else 'CPU',
        torch=torch.__version__,
        quick=args.quick,
        repeats=repeats,
    )
    about = dict(commit=commit(ROOT), date=date.today().isoformat())
    # As in training: the recipes set env_cfg.cudnn_benchmark.
    torch.backends.cudnn.benchmark = args.device == 'cuda'
    begun = time.monotonic()
    planned = [
        # bfloat16 is slow on many a CPU: a few of its cases
        part
        for part in todo(nets)
        if not args.quick or isinstance(part, Way) or not part.mixed or _is_quick(part)
    ]
    found, failed = earlier(out, same), dict[str, str]()
    missing = [part for part in planned if str(part) not in found]
    if not missing:
        print(f'{out}: has all measurements; without the file they are made anew')
    for part in missing:
        left = 60 * args.minutes - (time.monotonic() - begun)
        if left < (60 if isinstance(part, Case) and part.compiled else 0):
            continue  # compiling takes a minute
        try:
            if isinstance(part, Way):
                row = measure_passes(part, args.device, args.quick)
                told = ' '.join(f'{row[key]:10.1f} {key}' for key in ('loader', 'step', 'both'))
            else:
                row = measure(part, args.device, warm_up, repeats)
                told = f'{row["ms"]:10.2f} ms'
                told += '' if row['mb'] is None else f' {row["mb"]:10.1f} MB'
            found[str(part)] = dict(row, name=str(part), **about)
        except Exception as error:  # the others are measured nevertheless
            failed[str(part)] = f'{type(error).__name__}: {one_line(error)}'
            told = f'failed: {failed[str(part)]}'
        print(f'{part!s:70s} {told}', flush=True)
        # Where all fail, the figures of an earlier run stay.
        if out is not None and found:
            known = _as_file(same, planned, found, failed)
            out.write_text(json.dumps(known, indent=1) + '\n', encoding='utf-8')
        gc.collect()
        if args.device == 'cuda':
            torch.cuda.empty_cache()
    left_out = [str(part) for part in planned if str(part) not in {*found, *failed}]
    if left_out:
        print(f'not measured within {args.minutes:g} minutes: {"; ".join(left_out)}')
    return int(bool(failed))


def _as_file(
    same: Mapping[str, Any],
    planned: Sequence[Case | Way],
    found: Mapping[str, dict[str, Any]],
    failed: Mapping[str, str],
) -> dict[str, Any]:
    """What the file holds: rows in the order of the plan."""
    names = {
        kind: [str(part) for part in planned if isinstance(part, Way) == (kind == 'passes')]
        for kind in KINDS
    }
    left_out = [str(part) for part in planned if str(part) not in {*found, *failed}]
    rows = {kind: [found[name] for name in names[kind] if name in found] for kind in KINDS}
    return {**same, **rows, 'left_out': left_out, 'failed': dict(failed)}


if __name__ == '__main__':
    sys.exit(main())
