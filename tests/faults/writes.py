"""Kills inside of writes: after so many bytes of a file, or before it is renamed or removed.

The kernel does the first: a limit on the size of files, set when the file is opened, ends the
process at exactly that byte. It does not matter how the checkpoint is written.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from tests.faults.compare import differences
from tests.faults.kills import start
from tests.faults.processes import Processes
from tests.faults.recipes import EPOCHS

WRITING = os.O_WRONLY | os.O_RDWR


def _watch(folder: Path, act: Any) -> None:
    """Call ``act(number, kind, path)`` before each change to a file of checkpoints."""
    state = dict(number=0, busy=False)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ('open', 'os.rename', 'os.remove') or state['busy']:
            return
        path = arguments[0]
        if not isinstance(path, str | os.PathLike):
            return
        path = Path(path)
        if path.parent != folder or not ('.pth' in path.name or 'last_checkpoint' in path.name):
            return
        if event == 'open' and not (arguments[2] or 0) & WRITING:
            return
        state['busy'] = True
        act(state['number'], event, path)
        state['number'] += 1
        state['busy'] = False

    sys.addaudithook(hook)


def record(folder: Path, journal: Path) -> Any:
    """For a whole run: note each change, and the size that each opened file came to."""

    def before(rank: int) -> None:
        if rank:
            return

        def act(number: int, kind: str, path: Path) -> None:
            with journal.open('a') as file:
                file.write(json.dumps([kind, path.name]) + '\n')

        _watch(folder, act)

    return before


def plant(folder: Path, number: int, bytes_written: int) -> Any:
    """Die in the change of that number: after so many bytes, or before it is renamed or removed."""

    def before(rank: int) -> None:
        if rank:
            return
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)

        def act(now: int, kind: str, path: Path) -> None:
            if now != number:
                return
            if kind == 'open':
                resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_written, bytes_written))
            else:
                os.kill(os.getpid(), signal.SIGKILL)

        _watch(folder, act)

    return before


def measure(folder: Path, count: int, seed: int, recipe: str = 'CAR') -> dict[str, Any]:
    """``count`` runs, each killed inside of one change to its checkpoints and then resumed."""
    draw = random.Random(seed)
    whole, journal = folder / 'whole', folder / 'changes.jsonl'
    run = start(recipe, whole, 1, record(whole, journal))
    if run.wait() != 'done':
        raise RuntimeError(f'{recipe} without a kill: {run.last_line()}')
    changes = [json.loads(line) for line in journal.read_text().splitlines()]
    sizes = {
        kind: next(whole.glob(f'{kind}*')).stat().st_size
        for kind in ('epoch', 'best', 'last_checkpoint')
    }
    kills = []
    while len(kills) < count:
        # Each change in turn, so that a few kills already meet every kind.
        order = draw.sample(range(len(changes)), len(changes))
        for number in order[: count - len(kills)]:
            kind, name = changes[number]
            work = folder / f'kill_{len(kills)}'
            planted = plant(work, number, draw.randrange(sizes[_kind_of(name)]))
            first = start(recipe, work, 1, planted)
            end = first.wait()
            result = dict(change=kind, file=_kind_of(name), number=number, first=end)
            if end == 'killed':
                again: Processes = start(recipe, work, 1)
                result['end'] = again.wait()
                result['line'] = again.last_line() if result['end'] != 'done' else ''
                result['differences'] = differences(work, whole, EPOCHS)
            else:
                result.update(end=end, line=first.last_line(), differences=['was not killed'])
            kills.append(result)
            print(
                f'{len(kills):4d} {kind} {name}: {result["end"]}, '
                f'{len(result["differences"])} differences {result["differences"][:3]} '
                f'{result["line"][:100]}',
                flush=True,
            )
            shutil.rmtree(work, ignore_errors=True)
    return dict(recipe=recipe, kills=kills)


def _kind_of(name: str) -> str:
    if 'last_checkpoint' in name:
        return 'last_checkpoint'
    return 'best' if 'best_' in name else 'epoch'
