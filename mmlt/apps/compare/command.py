"""The command: arguments, plan, training with progress, tables."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..command_line import end_of, integer_from, parser_of
from ..schedule import epochs_of
from .budget import Costs, duration, text_of
from .frozen import Frozen
from .methods import Method, check_same_test, choose, find_methods, home_of
from .plan import Plan, forget, locked, read_plan, runs_of
from .probe import measure
from .processes import Ended, Task, Told, preload, stop_on_sigterm, visible_gpus, work_apart
from .progress import Shown
from .runs import Run
from .table import Comparison, save_tables, to_text
from .work import check_files, train_and_judge, train_tool

__all__ = ['compare', 'main']

DESCRIPTION = """Train methods with several seeds, and say which are better than noise.

PROJECT is a folder with configs/*.py, as mmlt new makes it, or one or several recipes, or a study:
a file with study = {label: (recipe, {option: value})}. The first method is the baseline (ce, where
there is one). Each run is a process of its own. Stop it whenever you like: the same command skips
what is finished and goes on with what is not. In --out: table.txt, .md, .csv and .json, renewed
after each run, and METHOD/seed_S with log, checkpoints and evaluation of each run.

With --frozen the network stays as it is: it is applied to all images once, and each method trains
a classifier on these features, in seconds.

The exit status is 0, 1 if a run has failed, 2 if the command is wrong, 130 if it was stopped."""
EXAMPLE = """examples:
  mmlt compare flowers --seeds 3 --budget 40m
  mmlt compare flowers --frozen --seeds 10
  mmlt compare flowers --methods ce,la,cpmix --epochs 20 --jobs 2
  mmlt compare configs/mine/resnet50_ce.py configs/mine/resnet50_car.py --out work_dirs/car"""


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; ends the process with status 2 if it is wrong."""
    parser = parser_of('compare', DESCRIPTION, EXAMPLE)
    add, count = parser.add_argument, integer_from(1)
    add('project', nargs='+', type=Path, metavar='PROJECT', help='folder, recipes, or a study')
    add('--methods', metavar='NAME,NAME', help='which, the baseline first (default: all)')
    add('--seeds', type=count, default=3, metavar='N', help='runs of each (default: 3)')
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        '--epochs',
        type=count,
        metavar='N',
        help='of each run, with the schedule scaled (default: those of the recipes)',
    )
    length.add_argument(
        '--budget',
        type=duration,
        metavar='TIME',
        help='choose the epochs so that all runs end within it, such as 40m or 1h30m',
    )
    add(
        '--jobs',
        type=count,
        metavar='N',
        help='runs at a time (default: one for each GPU; with --frozen at least two)',
    )
    add(
        '--frozen',
        action='store_true',
        help='train classifiers on the features of the pre-trained network',
    )
    add(
        '--checkpoint',
        type=Path,
        metavar='FILE',
        help='weights for --frozen (default: those that the configs load)',
    )
    add(
        '--out',
        type=Path,
        metavar='FOLDER',
        help='default: runs in PROJECT, or runs_frozen, else in work_dirs',
    )
    add(
        '--force',
        action='store_true',
        help='train the methods anew; deletes all their runs in --out, of every seed',
    )
    args = parser.parse_args(arguments)
    if args.checkpoint is not None and not args.frozen:
        parser.error(f'--checkpoint: expected it with --frozen, got {args.checkpoint} alone')
    if args.out is None:
        args.out = home_of(args.project, args.frozen)
    return args


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare methods.

    Args:
        arguments: of the command line by default.

    Returns:
        0, 1 if a run has failed; otherwise see :func:`~mmlt.apps.command_line.end_of`.
    """
    args = parse_args(arguments)

    def work() -> int:
        methods = choose(find_methods(args.project), args.methods)
        frozen = Frozen(args.checkpoint, args.methods is not None) if args.frozen else None
        return compare(
            methods, args.out, args.seeds, args.epochs, args.budget, args.jobs, args.force, frozen
        )

    status = end_of('compare', work)
    if status == 130:
        again = shlex.join(sys.argv[1:] if arguments is None else ['compare', *map(str, arguments)])
        print(f'mmlt compare: the same command goes on: {again}', file=sys.stderr)
    return status


def compare(
    methods: Sequence[Method],
    home: Path,
    seeds: int = 3,
    epochs: int | None = None,
    budget: float | None = None,
    jobs: int | None = None,
    force: bool = False,
    frozen: Frozen | None = None,
) -> int:
    """Train what is not trained yet, and print the tables.

    Args:
        methods: the first is the baseline.
        home: folder of the runs.
        seeds: runs of each method.
        epochs: of each run; None: those of the recipes, or what fits into ``budget``.
        budget: seconds for all.
        jobs: runs at a time; None: one for each GPU, else one, and two of ``frozen``.
        force: forget earlier runs of these methods.
        frozen: train heads on features; None: whole networks.

    Returns:
        0, or 1 if a run has failed.

    Raises:
        ValueError: if a config cannot be read, or earlier runs do not fit.
    """
    gpus = visible_gpus()
    jobs = jobs or max(len(gpus), 1 if frozen is None else 2)
    for method in methods:
        cfg = method.load()
        if frozen is None:
            epochs_of(cfg)
    if frozen is None:
        check_same_test(methods)
    with locked(home), stop_on_sigterm():
        if force:
            forget(methods, home)
        train_tool()
        preload(gpus)
        if frozen is not None:
            methods = frozen.of(methods, home, gpus, force)
        plan = _plan(methods, home, seeds, epochs, budget, jobs, gpus)
        runs = runs_of(methods, seeds, plan.epochs, home)
        check_files(list(dict.fromkeys(run.method for run in runs if not run.is_finished())))
        plan.save(home)
        failures = _train(runs, plan, home, jobs, gpus)
    return _conclude(runs, methods, home, failures)


def _plan(
    methods: Sequence[Method],
    home: Path,
    seeds: int,
    epochs: int | None,
    budget: float | None,
    jobs: int,
    gpus: Sequence[str],
) -> Plan:
    """That of the folder, or a new one; with a budget after a measurement."""
    known = read_plan(home)
    if known is not None and epochs is None and budget in (None, known.budget):
        if known.epochs is not None:
            said = known.reason(methods, seeds, jobs) or f'{known.epochs} epochs for each run'
            more = '' if known.budget is None else ' (--out FOLDER trains anew, without a budget)'
            print(f'{said}; as decided before{more}', flush=True)
        return known
    plan = Plan(epochs=epochs, budget=budget)
    if budget is not None:
        if known is not None and known.budget is not None:
            raise ValueError(
                f'--budget: expected {text_of(known.budget)}, with which the runs in {home} were '
                f'begun, got {text_of(budget)}; --force trains anew, --out FOLDER keeps both'
            )
        check_files(methods)
        began = time.monotonic()
        costs = _measure(methods, home, budget, jobs, gpus)
        plan = replace(plan, spent=time.monotonic() - began).fit(methods, costs, seeds, jobs)
        print(plan.reason(methods, seeds, jobs), flush=True)
    return plan


def _measure(
    methods: Sequence[Method], home: Path, budget: float, jobs: int, gpus: Sequence[str]
) -> dict[str, Costs]:
    """A short training of each method, as many at a time as later."""
    seconds = min(30.0, max(2.0, 0.03 * budget * jobs / len(methods)))
    folder = home / '.probe'
    print(f'Measuring {len(methods)} methods, about {text_of(seconds)} each', flush=True)
    tasks = {
        Task(
            f'{method.label}, measured',
            folder / f'{method.name}.log',
            partial(measure, Run(method, 0, None, home), folder / method.name, seconds),
        ): method.name
        for method in methods
    }
    costs: dict[str, Costs] = {}
    with closing(work_apart(list(tasks), jobs, gpus)) as events:
        for event in events:
            if isinstance(event, Told):
                costs[tasks[event.task]] = Costs(**event.value)
            elif isinstance(event, Ended) and tasks[event.task] not in costs:
                raise ValueError(f'--budget: {event.failure or event.task.name + " ended early"}')
    return costs


def _train(
    runs: Sequence[Run], plan: Plan, home: Path, jobs: int, gpus: Sequence[str]
) -> dict[Run, str]:
    """Train and evaluate; run -> what went wrong."""
    tasks = {
        Task(run.name, run.log, partial(train_and_judge, run)): run
        for run in runs
        if not run.is_finished()
    }
    began, failures = time.monotonic(), dict[Run, str]()
    done = len(runs) - len(tasks)
    with Shown(len(runs), done) as shown:
        shown.line(_beginning(runs, tasks, jobs, gpus))
        shown.table(_save(runs, home, plan))
        with closing(work_apart(list(tasks), jobs, gpus)) as events:
            for event in events:
                if isinstance(event, Told):
                    shown.share(event.task, event.value)
                elif isinstance(event, Ended):
                    run = tasks[event.task]
                    shown.end(event.task)
                    if run.is_finished():
                        figures = run.read()['results']['last']
                        text = f'{figures["top1"]:.1f} % in {text_of(event.seconds)}'
                    else:
                        failures[run] = (
                            event.failure
                            or run.read().get('fault')
                            or f'{run.name} was stopped from outside'
                        )
                        text = failures[run]
                    shown.line(f'{shown.done:>3}/{len(runs)}  {run.name}: {text}')
                    plan = replace(plan, spent=plan.spent + time.monotonic() - began)
                    began = time.monotonic()
                    plan.save(home)
                    shown.table(_save(runs, home, plan))
                shown.refresh()
    if plan.budget is not None and plan.spent > plan.budget:
        over = text_of(plan.spent - plan.budget)
        print(
            f'mmlt compare: overrun: {text_of(plan.spent)} were used, {over} more than the budget',
            file=sys.stderr,
        )
    return failures


def _beginning(runs: Sequence[Run], tasks: dict[Task, Run], jobs: int, gpus: Sequence[str]) -> str:
    methods = len({run.method.name for run in runs})
    where = f'on {len(gpus)} GPUs' if gpus else 'on CPUs'
    done = len(runs) - len(tasks)
    resumed = sum(run.can_resume() for run in tasks.values())
    parts = [f'{done} finished before'] * bool(done) + [f'{resumed} go on'] * bool(resumed)
    note = f' ({", ".join(parts)})' if parts else ''
    return f'{methods} methods x {len(runs) // methods} seeds, {jobs} at a time {where}{note}'


def _comparison(runs: Sequence[Run]) -> Comparison:
    states: dict[str, dict[int, dict]] = {run.method.label: {} for run in runs}
    for run in runs:
        state = run.read()
        if state.get('state') == 'finished':
            states[run.method.label][run.seed] = state
    return Comparison(states)


def _save(runs: Sequence[Run], home: Path, plan: Plan) -> str:
    """Write the tables of what is finished; returns that for the terminal."""
    comparison = _comparison(runs)
    if not comparison.states:
        return ''
    save_tables(home, comparison, dict(budget=plan.budget, seconds=round(plan.spent, 1)))
    return to_text(comparison)


def _conclude(
    runs: Sequence[Run], methods: Sequence[Method], home: Path, failures: dict[Run, str]
) -> int:
    """Print the answer, what to look at next, and what has failed."""
    text = to_text(_comparison(runs))
    if text:
        print(f'\n{text}\n')
        print(f'{home}: table.txt, .md, .csv, .json; a folder for each run')
        done = [run for run in runs if run not in failures]
        folders = dict.fromkeys(str(run.folder.parent) for run in done)  # of all seeds of a method
        if folders:
            command = ['mmlt', 'report', *folders, '--out', str(home / 'report.html')]
            print(f'class by class: {shlex.join(command)}')
    for failure in failures.values():
        print(f'mmlt compare: {failure}', file=sys.stderr)
    return 1 if failures else 0
