"""Run a study on the long-tailed digits: every variant with every seed, one Markdown table.

python tools/digits_study.py tools/studies/car.py --seeds 8

A study is a Python file with `study = {label: (leaf of configs/digits_lt, {option: value})}`.
Every run goes through tools/train.py; logs go to work_dirs/studies.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis_tools.collect_results import summary
from flags import integer
from forked_runs import Figures, Run, RunFailed, import_trainer, train_all

# Heading of the table -> validation figure.
COLUMNS = {
    'all': 'long_tail/top1',
    'many': 'long_tail/many_shot',
    'medium': 'long_tail/medium_shot',
    'few': 'long_tail/few_shot',
    'worst class': 'long_tail/worst_class',
    'harmonic mean': 'long_tail/harmonic_mean',
}
CONFIGS = Path(__file__).resolve().parents[1] / 'configs' / 'digits_lt'

Study = dict[str, tuple[str, dict[str, object]]]


def read_study(path: Path) -> Study:
    """The variants of a study file.

    Raises:
        ValueError: if a variant is no pair of an existing leaf and options.
    """
    from mmengine.config import Config

    try:
        study = dict(Config.fromfile(path)['study'])
    except (OSError, KeyError, SyntaxError) as error:
        raise ValueError(
            f'{path}: expected a file with study = dict(...), got {error!r}'
        ) from error
    for label, variant in study.items():
        if len(variant) != 2 or not (CONFIGS / f'{variant[0]}.py').is_file():
            raise ValueError(
                f'{path}: {label!r}: expected (leaf of {CONFIGS}, options), got {variant!r}'
            )
    return study


def plan_runs(study: Study, root: Path, seeds: int) -> list[Run]:
    """All runs, seed by seed."""
    from mmengine.config import Config

    runs = []
    for seed in range(seeds):
        for number, (label, (leaf, options)) in enumerate(study.items()):
            config = CONFIGS / f'{leaf}.py'
            epochs = Config.fromfile(config).train_cfg.max_epochs
            name = f'{number:02d}_{leaf}_seed{seed}'
            argv = (
                str(config),
                '--work-dir',
                str(root / name),
                '--cfg-options',
                f'randomness.seed={seed}',
                f'default_hooks.checkpoint.interval={epochs}',
                *(f'{key}={value}' for key, value in options.items()),
            )
            runs.append(Run(label, seed, epochs, root / f'{name}.log', argv))
    return runs


def to_markdown(study: Study, done: dict[Run, Figures]) -> str:
    """Mean and sample standard deviation over seeds, a row per variant."""
    lines = ['| variant | ' + ' | '.join(COLUMNS) + ' |', '| --- |' + ' --- |' * len(COLUMNS)]
    for label in study:
        mine = [figures for run, figures in done.items() if run.label == label]
        cells = [summary([figures[name] for figures in mine]) for name in COLUMNS.values()]
        lines.append(f'| {label} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the study; prints the table and writes it beside the logs. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('study', type=Path, help='study file')
    parser.add_argument('--seeds', type=integer(1), default=8, help='runs of each variant')
    parser.add_argument(
        '--jobs', type=integer(1), default=2, help='runs at a time, one thread each'
    )
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/studies'))
    args = parser.parse_args(argv)
    try:
        study = read_study(args.study)
    except ValueError as error:
        parser.error(str(error))
    train = import_trainer()
    root = args.work_dir / args.study.stem
    root.mkdir(parents=True, exist_ok=True)
    runs = plan_runs(study, root, args.seeds)
    done: dict[Run, Figures] = {}
    try:
        for run, figures, seconds in train_all(
            train, runs, tuple(COLUMNS.values()), args.jobs, show=lambda epochs: None
        ):
            done[run] = figures
            print(
                f'{len(done)}/{len(runs)}  {run.label}, seed {run.seed}: '
                f'{figures[COLUMNS["all"]]:.1f} % in {seconds:.0f} s',
                flush=True,
            )
    except RunFailed as error:
        print(error, file=sys.stderr)
        return 1
    table = to_markdown(study, done)
    (root / 'table.md').write_text(table + '\n', encoding='utf-8')
    figures_by_run = [
        dict(label=run.label, seed=run.seed, **figures) for run, figures in done.items()
    ]
    (root / 'figures.json').write_text(json.dumps(figures_by_run, indent=1), encoding='utf-8')
    print(table)
    return 0


if __name__ == '__main__':
    sys.exit(main())
