"""The ImageNet-LT recipe of ConCutMix + CAR rehearsed on 2 CPU processes: what it takes, no score.

python benchmarks/imagenet_lt_rehearsal.py [--iterations 200] [--images 2] [STAGE ...]

What runs is tools/dist_train.sh configs/imagenet_lt/resnext50_concutmix_car.py, on a tree of
generated photographs with ImageNet-LT's class counts: 185,846 rows in three lists, each a file of
its own name, linked to 300 different ones. Stages, all of them by default:

- tree: makes it, in --folder;
- parts: start-up, loader and losses, one after the other, each in a process of its own;
- run: trains, saving half-way, and stops the run by a signal as a scheduler would;
- validate: evaluates that checkpoint on 512 images of the validation list;
- resume: goes on from half-way in another folder, is stopped, resumed, and then killed; compares
  its losses with those of the run.

The figures go to docs/results/logs/imagenet_lt_rehearsal.json after each stage, and
tools/results.py makes the tables of docs/results/imagenet_lt_rehearsal.md of them. Linux only.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch
from imagenet_lt_tree import class_counts, write_tree
from watched_run import Sample, logged_lines, logged_steps, watch

from mmlt.apps.command_line import cores

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / 'docs' / 'results' / 'logs' / 'imagenet_lt_rehearsal.json'
CONFIG = 'configs/imagenet_lt/resnext50_concutmix_car.py'
FOLDER = Path(tempfile.gettempdir()) / 'imagenet_lt_rehearsal'
PROCESSES, WORKERS = 2, 1  # workers of each process
VALIDATED = 512
FIRST = 10  # steps that are left out of medians, since caches are cold
PARTS = ('startup', 'loader', 'losses')
Report = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stages, writing after each; returns the exit status."""
    args = parse_args(argv)
    known: Report = {}
    if args.out.is_file():
        known = json.loads(args.out.read_text(encoding='utf-8'))
    stages: dict[str, Callable[[argparse.Namespace], Report]] = {
        'tree': tree,
        'parts': parts,
        'run': run,
        'validate': validate,
        'resume': resume,
    }
    unknown = [name for name in args.stages if name not in stages]
    if unknown:
        print(f'STAGE: expected some of {", ".join(stages)}, got {unknown[0]!r}', file=sys.stderr)
        return 2
    for name in args.stages or stages:
        print(f'{name} ...', flush=True)
        known[name] = stages[name](args)
        known.update(about())
        args.out.write_text(json.dumps(known, indent=1) + '\n', encoding='utf-8')
        print(json.dumps(known[name], indent=1), flush=True)
    return 0


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('stages', nargs='*', metavar='STAGE', help='all by default')
    parser.add_argument('--iterations', type=int, default=200)
    parser.add_argument(
        '--minutes', type=float, default=120.0, help='after which the run ends before its last step'
    )
    parser.add_argument('--images', type=int, default=2, help='in the batch of a process')
    parser.add_argument('--folder', type=Path, default=FOLDER)
    parser.add_argument('--files', type=int, default=300, help='different photographs')
    parser.add_argument('--port', default='29533', help='of the launcher')
    parser.add_argument('--out', type=Path, default=OUT)
    return parser.parse_args(argv)


def about() -> Report:
    """Where, when and with what it was measured."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ['git', *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip()

    return {
        'commit': git('rev-parse', '--short', 'HEAD'),
        'date': date.today().isoformat(),
        'torch': torch.__version__,
        'cores': cores(),
    }


def tree(args: argparse.Namespace) -> Report:
    """Seconds, rows and files."""
    begun = time.monotonic()
    made = write_tree(data_root(args), class_counts(), args.files)
    return {**made, 'seconds': time.monotonic() - begun}


def data_root(args: argparse.Namespace) -> Path:
    """Where the recipe expects the data, seen from the folder."""
    return args.folder / 'data' / 'imagenet_lt'


def parts(args: argparse.Namespace) -> Report:
    """What imagenet_lt_parts.py measures."""
    told = {}
    for name in PARTS:
        done = subprocess.run(
            [sys.executable, str(ROOT / 'benchmarks' / 'imagenet_lt_parts.py'), name, CONFIG],
            cwd=args.folder,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env={**os.environ, **environment(args)},
        )
        told[name] = json.loads(done.stdout.splitlines()[-1])
    return told


def environment(args: argparse.Namespace) -> dict[str, str]:
    """Of the launchers and of the parts."""
    paths = [ROOT, ROOT / 'tools', ROOT / 'benchmarks']
    return {
        'PYTHON': sys.executable,
        'PYTHONPATH': os.pathsep.join(map(str, paths)),
        'PORT': args.port,
        'OMP_NUM_THREADS': '1',
    }


def train(
    args: argparse.Namespace, name: str, stop: Callable[[int], int | None], more: Sequence[str] = ()
) -> tuple[list[Sample], int, float | None]:
    """The mission's command in small, watched; ``name`` is that of its folder."""
    command = [str(ROOT / 'tools' / 'dist_train.sh'), str(ROOT / CONFIG), str(PROCESSES)]
    command += ['--work-dir', str(args.folder / name), *more, '--cfg-options', *options(args)]
    return watch(command, args.folder / name, stop, args.folder, environment=environment(args))


def options(args: argparse.Namespace) -> list[str]:
    """What differs from the recipe."""
    return [
        f'train_dataloader.batch_size={args.images}',
        f'train_dataloader.num_workers={WORKERS}',
        # The last third of the epochs, in which mixed labels are rectified, costs most.
        'model.head.label_start_epoch=0',
        'default_hooks.logger.interval=1',
        'log_processor.window_size=1',
        'default_hooks.checkpoint.by_epoch=False',
        f'default_hooks.checkpoint.interval={half(args)}',
    ]


def half(args: argparse.Namespace) -> int:
    """The step that is saved and resumed from."""
    return args.iterations // 2


def stop_after(
    steps: int, number: signal.Signals, seconds: float = math.inf
) -> Callable[[int, float], signal.Signals | None]:
    """A signal once so many steps are in the log, or so much time has gone."""
    return lambda done, spent: number if done >= steps or spent >= seconds else None


def run(args: argparse.Namespace) -> Report:
    """Throughput, memory, start and end of the uninterrupted run, and what its checkpoint holds."""
    work_dir = args.folder / 'run'
    stop = stop_after(args.iterations, signal.SIGTERM, 60 * args.minutes)
    samples, status, ending = train(args, 'run', stop)
    steps = logged_steps(work_dir)
    first = min(FIRST, len(steps) // 3)
    saved = half(args)
    counted = [step for step in steps[first:] if step['step'] != saved + 1]
    seconds = statistics.median(step['time'] for step in counted)
    waits = sum(step['data_time'] for step in counted) / sum(step['time'] for step in counted)
    views = PROCESSES * args.images
    return {
        'steps': len(steps),
        'images_of_a_process': args.images,
        'processes': PROCESSES,
        'workers_of_a_process': WORKERS,
        'options': options(args),
        'exit_status': status,
        'seconds_to_the_first_step': next(x.seconds for x in samples if x.steps),
        'seconds': samples[-1].seconds,
        'step_seconds': seconds,
        'step_seconds_spread': spread([step['time'] for step in counted]),
        'data_share': waits,
        'images_per_second': views / seconds,
        'save_seconds': steps[saved]['time'] - seconds if len(steps) > saved else None,
        'stop_seconds': ending,
        'losses': {key: [steps[0][key], steps[-1][key]] for key in steps[0] if 'loss' in key},
        'load': os.getloadavg()[2],
        **usage(samples, first),
        'checkpoint': checkpoint_parts(sorted(work_dir.glob('iter_*.pth'), key=number_of)[-1]),
    }


def spread(values: Sequence[float]) -> list[float]:
    """The 10th and the 90th percentile."""
    return [statistics.quantiles(values, n=10)[i] for i in (0, -1)]


def number_of(path: Path) -> int:
    """Of ``iter_N.pth``."""
    return int(path.stem.rpartition('_')[2])


def usage(samples: Sequence[Sample], first: int) -> Report:
    """Memory of ranks and workers, whether it grows, and CPU seconds of a step."""
    trained = [sample for sample in samples if sample.steps >= first and sample.processes]
    start = trained[0]
    # At the end workers go before ranks.
    end = [sample for sample in trained if {*start.processes} <= {*sample.processes}][-1]
    done = end.steps - start.steps
    told: Report = {'memory': {}, 'cpu_seconds_per_step': {}, 'rank_mb_at_step': {}}
    for role in ('rank', 'worker'):
        seen = [p for x in trained for p in x.processes.values() if p.role == role]
        told['memory'][role] = {
            'peak_mb': max(p.peak_mb for p in seen),
            'own_mb': max(p.own_mb for p in seen),
        }
        used = [
            end.processes[pid].cpu_seconds - process.cpu_seconds
            for pid, process in start.processes.items()
            if process.role == role
        ]
        if done:
            told['cpu_seconds_per_step'][role] = statistics.fmean(used) / done
    for sample in trained[:: max(1, len(trained) // 8)]:
        ranks = [p.mb for p in sample.processes.values() if p.role == 'rank']
        told['rank_mb_at_step'][sample.steps] = max(ranks, default=None)
    return told


def checkpoint_parts(path: Path) -> Report:
    """MB of the file, and of the tensors in each of its parts."""
    content = torch.load(path, map_location='cpu', weights_only=False)
    weights = content['state_dict']
    groups: dict[str, float] = {}
    for key, tensor in weights.items():
        name = 'confusion' if 'confusion' in key else f'weights, {key.split(".")[0]}'
        groups[name] = groups.get(name, 0.0) + tensor.numel() * tensor.element_size() / 1e6
    groups['momentum'] = tensor_mb(content['optimizer'])
    rest = {k: v for k, v in content.items() if k not in ('state_dict', 'optimizer')}
    groups['other tensors'] = tensor_mb(rest)
    return {'mb': path.stat().st_size / 1e6, 'parts_mb': groups}


def tensor_mb(node: Any) -> float:
    """Of all tensors in nested containers."""
    if isinstance(node, torch.Tensor):
        return node.numel() * node.element_size() / 1e6
    if isinstance(node, dict):
        return sum(map(tensor_mb, node.values()))
    return sum(map(tensor_mb, node)) if isinstance(node, (list, tuple)) else 0.0


def validate(args: argparse.Namespace) -> Report:
    """Time of an evaluation on a part of the validation list."""
    rows = 20 * len(class_counts())
    chosen = [i * rows // VALIDATED for i in range(VALIDATED)]
    work_dir = args.folder / 'validation'
    checkpoint = sorted((args.folder / 'run').glob('iter_*.pth'), key=number_of)[-1]
    command = [str(ROOT / 'tools' / 'dist_test.sh'), str(ROOT / CONFIG), str(checkpoint)]
    command += [str(PROCESSES), '--work-dir', str(work_dir), '--cfg-options']
    command += ['test_dataloader.dataset.split=val', f'test_dataloader.num_workers={WORKERS}']
    command += [f'test_dataloader.dataset.indices={json.dumps(chosen, separators=(",", ":"))}']
    command += ['test_dataloader.batch_size=32', 'default_hooks.logger.interval=1']
    samples, status, _ = watch(
        command, work_dir, lambda *_: None, args.folder, environment=environment(args)
    )
    told = next(line for line in logged_lines(work_dir) if 'long_tail/top1' in line)
    of_batches = told['time'] * VALIDATED / 32 / PROCESSES
    return {
        'images': VALIDATED,
        'exit_status': status,
        'seconds': samples[-1].seconds,
        'seconds_of_batches': of_batches,
        'data_share': told['data_time'] / told['time'],
        'images_per_second': VALIDATED / of_batches,
        'images_of_the_list': rows,
        'peak_mb': max(p.peak_mb for x in samples for p in x.processes.values()),
    }


def resume(args: argparse.Namespace) -> Report:
    """Go on from the middle, stop, go on, be killed; the steps beside those of the run."""
    expected = {step['step']: step for step in logged_steps(args.folder / 'run')}
    checkpoint, work_dir = args.folder / 'run' / f'iter_{half(args)}.pth', args.folder / 'resumed'
    each = min(5, max(1, half(args) // 3))
    begun, status, stopping = train(
        args, 'resumed', stop_after(each, signal.SIGTERM), ['--resume', str(checkpoint)]
    )
    _, _, dying = train(args, 'resumed', stop_after(each, signal.SIGKILL), ['--resume'])
    found = logged_steps(work_dir)
    gaps = [
        abs(step[key] - expected[step['step']][key])
        for step in found
        if step['step'] in expected
        for key in step
        if 'loss' in key
    ]
    return {
        'from_step': half(args),
        'steps': [step['step'] for step in found],
        'compared': len(gaps),
        'equal': sum(gap == 0 for gap in gaps),
        'largest_difference': max(gaps),
        'exit_status_of_the_stopped_run': status,
        'seconds_to_the_first_step': next(x.seconds for x in begun if x.steps),
        'stop_seconds': stopping,
        'kill_seconds': dying,
    }


if __name__ == '__main__':
    sys.exit(main())
