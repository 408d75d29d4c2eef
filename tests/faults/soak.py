"""ConCutMix + CAR on two processes for as long as one likes: memory and open files over time."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.faults.processes import Processes
from tests.faults.recipes import recipe_config

RANKS = 2
EVERY_SECONDS = 5.0
# The first part fills caches.
SETTLING = 0.2


def measure(folder: Path, minutes: float) -> dict[str, Any]:
    """Samples of each process, and the slopes after the first fifth of the time."""

    def configure(rank: int) -> Any:
        return recipe_config(
            'ConCutMix + CAR',
            folder / 'soak',
            RANKS,
            **{
                'train_cfg.max_epochs': 10**6,
                'train_cfg.val_interval': 20,
                'param_scheduler.T_max': 10**6,
                'default_hooks.checkpoint.interval': 20,
            },
        )

    run = Processes.start(folder / 'soak', RANKS, configure)
    pids = [process.pid for process in run.ranks]
    samples, end = [], time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        time.sleep(min(EVERY_SECONDS, 2 * minutes))
        if not all(process.is_alive() for process in run.ranks):
            break
        passed = time.monotonic() - run.since
        samples.append([passed, *(value for pid in pids for value in (_memory(pid), _files(pid)))])
    whole = run.kill()
    table = np.array(samples)
    steady = table[table[:, 0] > SETTLING * table[-1, 0]]
    slopes = [float(np.polyfit(steady[:, 0] / 3600, steady[:, 1 + k], 1)[0]) for k in range(4)]
    result = dict(
        minutes=table[-1, 0] / 60,
        ended_by_itself=not whole,
        line='' if whole else run.last_line(),
        epochs=max(
            (int(path.stem.split('_')[1]) for path in (folder / 'soak').glob('epoch_*')), default=0
        ),
        memory_mb=[[float(steady[0, k]), float(steady[-1, k])] for k in (1, 3)],
        files=[[int(steady[0, k]), int(steady[-1, k])] for k in (2, 4)],
        memory_mb_per_hour=slopes[0::2],
        files_per_hour=slopes[1::2],
    )
    print(result, flush=True)
    return result


def _memory(pid: int) -> float:
    """Resident memory in MB, that shared with other processes left out."""
    _, resident, shared = Path(f'/proc/{pid}/statm').read_text().split()[:3]
    return (int(resident) - int(shared)) * os.sysconf('SC_PAGE_SIZE') / 1e6


def _files(pid: int) -> int:
    return len(os.listdir(f'/proc/{pid}/fd'))
