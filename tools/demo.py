"""Compare methods on long-tailed handwritten digits: one table, on a CPU.

python tools/demo.py

Trains every method below with every seed through tools/train.py and the configs of digits_lt.
Nothing is downloaded. Logs and tables of the classes go to work_dirs/demo.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from analysis_tools.collect_results import summary
from flags import integer
from forked_runs import Figures, Run, RunFailed, Trainer, import_trainer, train_all

# Label in the table -> leaf of configs/digits_lt.
METHODS = {
    'CE': 'resnet8_ce',
    'logit adjustment': 'resnet8_logit_adjustment',
    'CE + CAR': 'resnet8_car',
    'ConCutMix': 'resnet8_concutmix',
    'ConCutMix + CAR': 'resnet8_concutmix_car',
    'CP-Mix': 'resnet8_cpmix',
}
# Heading of the table -> validation figure.
COLUMNS = {
    'all': 'long_tail/top1',
    'many': 'long_tail/many_shot',
    'medium': 'long_tail/medium_shot',
    'few': 'long_tail/few_shot',
    'worst class': 'long_tail/worst_class',
}
CONFIGS = Path(__file__).resolve().parents[1] / 'configs' / 'digits_lt'
QUICK_EPOCHS = 2


def csv_file(root: Path, label: str, seed: int) -> Path:
    """Per-class table of a run."""
    return root / f'{METHODS[label]}_seed{seed}.csv'


def plan_runs(root: Path, seeds: int, quick: bool) -> list[Run]:
    """All runs, seed by seed, so that every method has figures early."""
    from mmengine.config import Config

    runs = []
    for seed in range(seeds):
        for label, leaf in METHODS.items():
            config = CONFIGS / f'{leaf}.py'
            epochs = QUICK_EPOCHS if quick else Config.fromfile(config).train_cfg.max_epochs
            # Checkpoints and figures of the last epoch only: writing them takes longer than
            # training does.
            argv = (
                str(config),
                '--work-dir',
                str(root / f'{leaf}_seed{seed}'),
                '--cfg-options',
                f'randomness.seed={seed}',
                f'train_cfg.max_epochs={epochs}',
                f'train_cfg.val_interval={epochs}',
                f'default_hooks.checkpoint.interval={epochs}',
                f'val_evaluator.csv_file={csv_file(root, label, seed)}',
            )
            runs.append(Run(label, seed, epochs, root / f'{leaf}_seed{seed}.log', argv))
    return runs


def train_with_progress(train: Trainer, runs: Sequence[Run], jobs: int) -> dict[Run, Figures]:
    """Train all runs: a bar on a terminal, elsewhere only a line for each run that is done."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(highlight=False, soft_wrap=True)
    columns = (
        TextColumn('{task.completed}/{task.total} epochs'),
        BarColumn(bar_width=None),
        TextColumn('{task.percentage:.0f} %'),
        TimeElapsedColumn(),
    )
    done: dict[Run, Figures] = {}
    # Without a thread of its own, which a fork could catch holding a lock.
    with Progress(
        *columns, console=console, auto_refresh=False, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task('', total=sum(run.epochs for run in runs))

        def show(epochs: int) -> None:
            bar.update(task, completed=epochs)
            bar.refresh()

        for run, figures, seconds in train_all(train, runs, tuple(COLUMNS.values()), jobs, show):
            done[run] = figures
            console.print(
                f'{len(done):>3}/{len(runs)}  {run.label}, seed {run.seed}: '
                f'{figures[COLUMNS["all"]]:.1f} % in {seconds:.0f} s'
            )
    return done


def format_table(done: dict[Run, Figures]) -> str:
    """One line per method: mean and standard deviation over seeds of every column."""
    rows = [['method', *COLUMNS]]
    for label in METHODS:
        mine = [figures for run, figures in done.items() if run.label == label]
        rows.append(
            [label, *(summary([one[figure] for one in mine]) for figure in COLUMNS.values())]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return '\n'.join(
        '  '.join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    )


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--seeds', type=integer(1), default=3, help='runs of each method')
    parser.add_argument(
        '--jobs', type=integer(1), default=2, help='runs at a time, one thread each'
    )
    parser.add_argument(
        '--work-dir', type=Path, default=Path('work_dirs/demo'), help='folder for logs and tables'
    )
    parser.add_argument(
        '--quick',
        action='store_true',
        help=f'only {QUICK_EPOCHS} epochs: does it run, not what does it reach',
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Train and print the table; returns the exit status."""
    args = parse_args(argv)
    start = time.monotonic()
    print('Importing MMPretrain ...', flush=True)
    train = import_trainer()
    runs = plan_runs(args.work_dir, args.seeds, args.quick)
    args.work_dir.mkdir(parents=True, exist_ok=True)
    print(
        f'{len(METHODS)} methods x {args.seeds} seeds on long-tailed digits, {args.jobs} at a time',
        flush=True,
    )
    try:
        done = train_with_progress(train, runs, args.jobs)
    except RunFailed as error:
        print(error, file=sys.stderr)
        return 1
    spread = f', mean ± standard deviation over {args.seeds} seeds' if args.seeds > 1 else ''
    print(
        f'\nTest accuracy in per cent{spread}:\n\n{format_table(done)}\n\n'
        f'{args.work_dir}/*.csv: the same in numbers, a file for each run\n'
        f'{args.work_dir}/*.log: what each run printed\n'
        f'{time.monotonic() - start:.0f} s in all'
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
