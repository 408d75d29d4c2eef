"""Random SIGKILLs: start, kill, go on, kill again; the end is compared with a whole run."""

from __future__ import annotations

import contextlib
import itertools
import math
import random
import shutil
import time
from pathlib import Path
from typing import Any

from tests.faults.compare import differences
from tests.faults.processes import Processes
from tests.faults.recipes import EPOCHS, RECIPES, recipe_config

KILLS_PER_CHAIN = 4


def start(name: str, folder: Path, ranks: int, before: Any = None) -> Processes:
    """A run that goes on from its checkpoints, or begins where there are none."""
    resume = (folder / 'last_checkpoint').exists() or any(folder.glob('epoch_*.pth'))

    def configure(rank: int) -> Any:
        return recipe_config(name, folder, ranks, resume=resume)

    return Processes.start(folder, ranks, configure, before)


def whole_run(name: str, folder: Path, ranks: int) -> float:
    """Train without interruption; returns the seconds.

    Raises:
        RuntimeError: if it fails, with its last line.
    """
    run = start(name, folder, ranks)
    end = run.wait()
    if end != 'done':
        raise RuntimeError(f'{name} on {ranks}: {end} without a kill: {run.last_line()}')
    return time.monotonic() - run.since


def chain(
    name: str, ranks: int, folder: Path, seconds: float, kills: int, draw: random.Random
) -> dict[str, Any]:
    """One run, killed up to ``kills`` times, then left to end."""
    done = 0
    while True:
        run = start(name, folder, ranks)
        if done < kills:
            try:
                time.sleep(draw.uniform(0, seconds))
            except KeyboardInterrupt:
                run.kill()
                raise
            if run.kill():
                done += 1
                continue
        end = run.wait()
        return dict(
            recipe=name,
            ranks=ranks,
            kills=done,
            end=end,
            line=run.last_line() if end != 'done' else '',
        )


def measure(folder: Path, count: int, seed: int, jobs_ranks: tuple[int, ...]) -> dict[str, Any]:
    """At least ``count`` kills, spread over all recipes and numbers of processes.

    Interrupted by Ctrl-C it returns what was measured until then.
    """
    draw = random.Random(seed)
    cases = [(name, ranks) for name in RECIPES for ranks in jobs_ranks]
    draw.shuffle(cases)
    share = min(KILLS_PER_CHAIN, math.ceil(count / len(cases)))
    seconds: dict[tuple[str, int], float] = {}
    chains: list[dict[str, Any]] = []
    done = 0
    with contextlib.suppress(KeyboardInterrupt):
        for name, ranks in itertools.cycle(cases):
            if done >= count:
                break
            whole = folder / f'whole_{name}_{ranks}'.replace(' ', '_')
            if (name, ranks) not in seconds:
                seconds[name, ranks] = whole_run(name, whole, ranks)
            work = folder / f'chain_{len(chains)}'
            kills = min(share, count - done)
            result = chain(name, ranks, work, seconds[name, ranks], kills, draw)
            result['differences'] = differences(work, whole, EPOCHS)
            done += result['kills']
            chains.append(result)
            print(
                f'{done:4d} kills  {name}, {ranks} process(es): {result["end"]}, '
                f'{len(result["differences"])} differences {result["differences"][:3]}',
                flush=True,
            )
            shutil.rmtree(work, ignore_errors=True)
    return dict(chains=chains, kills=done)
