"""The tables of docs/results/imagenet_lt_rehearsal.md, from benchmarks/imagenet_lt_rehearsal.py."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from .logs import LOGS
from .tables import markdown

__all__ = ['rehearsal_tables']

FILE = LOGS / 'imagenet_lt_rehearsal.json'
GPUS, BATCH, WORKERS, VIEWS, EPOCHS, VALIDATED = 8, 32, 8, 3, 90, 20_000  # of the recipe
RATES = (500, 1000, 2000)  # images that a GPU trains on in a second, each view counted
Known = dict[str, Any]


def rehearsal_tables() -> dict[str, Callable[[], str]]:
    """Name of a table to what makes it; a sentence while there are no figures."""
    makers = {
        'run': _run,
        'memory': _memory,
        'checkpoint': _checkpoint,
        'start': _start,
        'loader': _loader,
        'losses': _losses,
        'on paper': _on_paper,
    }
    return {f'rehearsal, {name}': partial(_made, make) for name, make in makers.items()}


def _made(make: Callable[[Known], str]) -> str:
    if not FILE.is_file():
        return 'The rehearsal was not run yet.'
    return make(json.loads(FILE.read_text(encoding='utf-8')))


def _table(header: list[str], rows: Iterable[list[str]]) -> str:
    """All columns but the first are numbers."""
    return markdown(header, list(rows), header[1:])


def _run(known: Known) -> str:
    run, tree, validated, resumed = (known[x] for x in ('run', 'tree', 'validate', 'resume'))
    low, high = run['step_seconds_spread']
    busy = run['cpu_seconds_per_step']
    rows = {
        'rows of the three lists': f'{tree["rows"]:,}',
        'different files, of kB each': f'{tree["files"]} x {tree["mean_bytes"] / 1e3:.0f}',
        'processes x images of each': f'{run["processes"]} x {run["images_of_a_process"]}',
        'steps': f'{run["steps"]}',
        'seconds of a step, median (10 % to 90 %)': (
            f'{run["step_seconds"]:.1f} ({low:.1f} to {high:.1f})'
        ),
        'processor seconds of a step, of one process': f'{busy["rank"]:.2f}',
        'images/s, both processes': f'{run["images_per_second"]:.2f}',
        'share of the time that waits for the loader': f'{100 * run["data_share"]:.1f} %',
        'loss, first and last step': ' and '.join(f'{x:.2f}' for x in run['losses']['loss']),
        'seconds that a checkpoint adds to a step': _seconds(run['save_seconds']),
        f'evaluation of {validated["images"]} images, both processes': (
            f'{validated["images_per_second"]:.1f} images/s'
        ),
        f'the same for all {validated["images_of_the_list"]:,}, by this rate': (
            f'{validated["images_of_the_list"] / validated["images_per_second"] / 60:.0f} minutes'
        ),
        f'logged losses equal after a resume from step {resumed["from_step"]}': (
            f'{resumed["equal"]} of {resumed["compared"]}, in {len(resumed["steps"])} steps'
        ),
        'seconds from a signal to the end, a step and a checkpoint included': _seconds(
            resumed['stop_seconds']
        ),
        'seconds after the launcher is killed until all has ended': _seconds(
            resumed['kill_seconds']
        ),
    }
    table = _table(['', 'measured'], ([name, value] for name, value in rows.items()))
    return (
        f'{known["cores"]} CPU cores, PyTorch {known["torch"]}, commit `{known["commit"]}`, '
        f'{known["date"]}.\n\n{table}'
    )


def _seconds(value: float | None) -> str:
    return '' if value is None else f'{value:.1f}'


def _memory(known: Known) -> str:
    memory, startup = known['run']['memory'], known['parts']['startup']
    rows = [
        [f'each {role}', f'{found["peak_mb"]:,.0f}', f'{found["own_mb"]:,.0f}']
        for role, found in memory.items()
    ]
    table = _table(['MB', 'most resident', 'most that it shares with nobody'], rows)
    course = known['run']['rank_mb_at_step']
    at = ', '.join(f'{mb:,.0f} ({step})' for step, mb in course.items())
    return (
        f'{table}\n\nThe larger rank over the run, MB (step): {at}. The training list takes '
        f'{startup["packed_list_mb"]:.1f} MB as it is packed, which workers share.'
    )


def _checkpoint(known: Known) -> str:
    found = known['run']['checkpoint']
    rows = [[name, f'{mb:.1f}'] for name, mb in found['parts_mb'].items()]
    rest = found['mb'] - sum(found['parts_mb'].values())
    rows += [['everything else', f'{rest:.1f}'], ['the file', f'{found["mb"]:.1f}']]
    return _table(['part', 'MB'], rows)


def _start(known: Known) -> str:
    startup = known['parts']['startup']
    rows = [[name, f'{cpu:.2f}', f'{wall:.1f}'] for name, (wall, cpu) in startup['seconds'].items()]
    sums = [sum(times) for times in zip(*startup['seconds'].values(), strict=True)]
    rows.append(['all of these', f'{sums[1]:.2f}', f'{sums[0]:.1f}'])
    told = known['run']['seconds_to_the_first_step']
    return (
        f'{_table(["one process", "processor seconds", "seconds"], rows)}\n\n'
        f'Two processes, from the command to the end of the first step: {told:.0f} seconds. The '
        f'{startup["batches_of_an_epoch"]} batches of a rank of eight, pairs included, take '
        f'{startup["epoch_seconds"]:.2f} processor seconds for each epoch.'
    )


def _loader(known: Known) -> str:
    rates = known['parts']['loader']['images_per_second']
    return _table(['one core', 'images/s'], ([name, f'{rate:.0f}'] for name, rate in rates.items()))


def _losses(known: Known) -> str:
    found = known['parts']['losses']
    rows = [
        [name, f'{cost["ms"]:.0f}', f'{cost["peak_mb"]:.1f}']
        for name, cost in found['parts'].items()
    ]
    return _table(['forward and backward, one core', 'ms', 'extra MB'], rows)


def _on_paper(known: Known) -> str:
    images = known['parts']['startup']['images']
    rates = known['parts']['loader']['images_per_second']
    core = _half_mixed(rates['batches that are not mixed'], rates['mixed batches'])
    device = _half_mixed(
        rates['views on the device, not mixed'], rates['views on the device, mixed']
    )
    by_workers = GPUS * WORKERS * core
    rows = []
    for rate in RATES:
        by_gpus = GPUS * rate / VIEWS
        minutes = images / min(by_gpus, by_workers) / 60
        rows.append(
            [
                f'{rate:,}',
                f'{1e3 * BATCH * VIEWS / rate:.0f}',
                f'{by_gpus:,.0f}',
                f'{by_gpus / core:.0f}',
                f'{by_gpus / device:.0f}',
                f'{minutes:.1f}',
                f'{EPOCHS * minutes / 60:.1f}',
                'loader' if by_workers < by_gpus else 'GPUs',
            ]
        )
    header = ['images/s of a GPU', 'ms of a step', 'images/s of the loader that 8 need', 'cores']
    header += ['cores with views on the device', 'minutes of an epoch', f'hours of {EPOCHS}']
    table = markdown([*header, 'bottleneck'], rows, header)
    validation = VALIDATED / (GPUS * WORKERS * rates['validation'])
    return (
        f'{table}\n\nEpochs are with the {GPUS * WORKERS} worker processes of the recipe on as '
        f'many cores, which load {by_workers:,.0f} images/s ({core:.0f} each). A validation of '
        f'{VALIDATED:,} images takes them {validation:.1f} seconds to load.'
    )


def _half_mixed(plain: float, mixed: float) -> float:
    """Images a second where half of the batches have partners."""
    return statistics.harmonic_mean([plain, mixed])
