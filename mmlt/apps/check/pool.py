"""A function over many files in several processes, none of which can hold the others up.

The standard pools wait for ever for a process that hangs or has died. Here each process tells of
every file as it is done, so that it is known which file it was, and a new process goes on.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

__all__ = ['Lost', 'map_files']

CHUNK = 16  # files that a process is given at a time
POLL_SECONDS = 0.5


class Lost:
    """In place of a result: the process that had the file ``'hangs'`` or ``'crashes'``."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


class _Worker:
    """A process, and the files that it was given and has not told of."""

    def __init__(self, context: Any, function: Callable[[str], Any], others: list[_Worker]) -> None:
        self.connection, theirs = context.Pipe()
        # With fork, a process inherits the ends of the others, and would keep them open.
        inherited = [self.connection, *(one.connection for one in others)]
        forked = context.get_start_method() == 'fork'
        self.process: BaseProcess = context.Process(
            target=_work, args=(theirs, function, inherited if forked else []), daemon=True
        )
        self.process.start()
        theirs.close()
        self.given: deque[int] = deque()
        self.heard = time.monotonic()

    def give(self, positions: Sequence[int], files: Sequence[str]) -> None:
        self.given.extend(positions)
        self.heard = time.monotonic()
        with suppress(OSError):  # it has died: seen when it is listened to
            self.connection.send([files[position] for position in positions])

    def end(self) -> None:
        self.process.kill()
        # One that waits for a broken disk does not even end then; nobody waits for it.
        self.process.join(1)
        self.connection.close()


def map_files(
    function: Callable[[str], Any], files: Sequence[str], workers: int, timeout: float
) -> Iterator[tuple[int, Any]]:
    """Results in the order in which they come.

    Args:
        function: of one file; with the start method ``spawn`` it has to be importable.
        files: paths.
        workers: processes.
        timeout: seconds that one file may take.

    Yields:
        Position of the file, and the result or a :class:`Lost`.
    """
    method = 'fork' if 'fork' in multiprocessing.get_all_start_methods() else 'spawn'
    context = multiprocessing.get_context(method)
    waiting = deque(range(len(files)))
    running: list[_Worker] = []
    try:
        while waiting or any(one.given for one in running):
            while waiting and len(running) < workers:
                running.append(_Worker(context, function, running))
            for one in running:
                if waiting and not one.given:
                    share = min(CHUNK, -(-len(waiting) // workers))
                    one.give([waiting.popleft() for _ in range(share)], files)
            heard = wait([one.connection for one in running], min(POLL_SECONDS, timeout))
            for one in list(running):
                if one.connection in heard:
                    try:
                        result = one.connection.recv()
                    except (EOFError, OSError):
                        result = Lost('crashes')
                elif one.given and time.monotonic() - one.heard > timeout:
                    result = Lost('hangs')
                else:
                    continue
                one.heard = time.monotonic()
                if one.given:
                    yield one.given.popleft(), result
                if isinstance(result, Lost):
                    running.remove(one)
                    waiting.extendleft(reversed(one.given))
                    one.end()
    finally:
        for one in running:
            one.end()


def _work(
    connection: Connection, function: Callable[[str], Any], inherited: list[Connection]
) -> None:
    for other in inherited:
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders print what they think of a file
    with suppress(EOFError, OSError):
        while True:
            for file in connection.recv():
                connection.send(function(file))
