"""A run on several processes that is watched from outside: its steps, memory and CPU time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ['Process', 'Sample', 'logged_lines', 'logged_steps', 'processes_below', 'watch']

TICKS = os.sysconf('SC_CLK_TCK')


class Process(NamedTuple):
    """What Linux tells of a process.

    Args:
        role: ``'rank'`` or ``'worker'``.
        mb: memory that is resident, shared pages included.
        peak_mb: the most that it was.
        own_mb: what no other process shares.
        cpu_seconds: so far, in user code and in the kernel.
    """

    role: str
    mb: float
    peak_mb: float
    own_mb: float
    cpu_seconds: float


class Sample(NamedTuple):
    """The run at one moment: seconds since its start, steps in its log, and its processes."""

    seconds: float
    steps: int
    processes: dict[int, Process]


def watch(
    command: Sequence[str],
    work_dir: Path,
    stop: Callable[[int, float], signal.Signals | None],
    cwd: Path,
    interval: float = 2.0,
    environment: dict[str, str] | None = None,
) -> tuple[list[Sample], int, float | None]:
    """Run a command to its end, and look at it now and then.

    Args:
        command: started in a session of its own.
        work_dir: where its log is expected.
        stop: steps in the log, and seconds so far, to the signal that is then sent, or None.
            SIGKILL goes to the launcher, others to one rank: the launcher would pass them on, and
            kill 30 seconds later whoever has not finished its step, which on a CPU takes long.
        cwd: where it runs.
        interval: seconds between two looks.
        environment: variables beside those of this process.

    Returns:
        What was seen, the exit status, and the seconds from the signal to the end of the last
        process; None without a signal.
    """
    begun = time.monotonic()
    signalled: float | None = None
    known = logged_steps(work_dir)
    samples: list[Sample] = []
    with open(f'{work_dir}.log', 'ab') as output:
        launcher = subprocess.Popen(
            command,
            cwd=cwd,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        try:
            while launcher.poll() is None:
                time.sleep(interval)
                steps = len(logged_steps(work_dir)) - len(known)
                seen = processes_below(launcher.pid)
                samples.append(Sample(time.monotonic() - begun, steps, seen))
                number = stop(steps, samples[-1].seconds)
                if number is not None and signalled is None:
                    signalled = time.monotonic()
                    ranks = [pid for pid, process in seen.items() if process.role == 'rank']
                    os.kill(launcher.pid if number == signal.SIGKILL else ranks[0], number)
            last = {pid for sample in samples[-3:] for pid in sample.processes}
            while any(map(_alive, last)):  # those of a launcher that was killed
                time.sleep(0.2)
        except BaseException:
            os.killpg(launcher.pid, signal.SIGKILL)
            raise
    ending = None if signalled is None else time.monotonic() - signalled
    return samples, launcher.returncode, ending


def logged_lines(work_dir: Path) -> list[dict[str, Any]]:
    """All that MMEngine has written for curves, in the order of writing."""
    lines = []
    for path in sorted([*work_dir.glob('*/vis_data/scalars.json'), *work_dir.glob('*/*.json')]):
        for line in path.read_text(encoding='utf-8').splitlines():
            if line.endswith('}'):  # the last one may be half
                lines.append(json.loads(line))
    return lines


def logged_steps(work_dir: Path) -> list[dict[str, Any]]:
    """Those of training steps."""
    return [line for line in logged_lines(work_dir) if 'loss' in line]


def processes_below(launcher: int) -> dict[int, Process]:
    """Ranks, which are children of the launcher, and workers, which are children of ranks."""
    parents = {}
    for entry in Path('/proc').iterdir():
        if entry.name.isdecimal():
            fields = _stat(int(entry.name))
            if fields is not None:
                parents[int(entry.name)] = (int(fields[1]), sum(map(int, fields[11:13])) / TICKS)
    found = {}
    for pid, (parent, seconds) in parents.items():
        grandparent = parents.get(parent, (0, 0.0))[0]
        if launcher in (parent, grandparent):
            memory = _memory(pid)
            if memory is not None:
                found[pid] = Process('rank' if parent == launcher else 'worker', *memory, seconds)
    return found


def _stat(pid: int) -> list[str] | None:
    """Fields of the process after its name: state, parent, ..."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    except OSError:  # it has gone
        return None


def _alive(pid: int) -> bool:
    fields = _stat(pid)
    return fields is not None and fields[0] != 'Z'


def _memory(pid: int) -> tuple[float, float, float] | None:
    """Resident, most resident and unshared MB."""
    try:
        status = Path(f'/proc/{pid}/status').read_text()
        maps = Path(f'/proc/{pid}/smaps_rollup').read_text()
    except OSError:
        return None
    kilobytes: dict[str, float] = {}
    for line in f'{status}\n{maps}'.splitlines():
        name, _, rest = line.partition(':')
        value = rest.split()
        if len(value) == 2 and value[1] == 'kB':
            kilobytes[name] = float(value[0])
    if 'VmRSS' not in kilobytes:
        return None
    own = kilobytes.get('Private_Clean', 0.0) + kilobytes.get('Private_Dirty', 0.0)
    return kilobytes['VmRSS'] / 1e3, kilobytes['VmHWM'] / 1e3, own / 1e3
