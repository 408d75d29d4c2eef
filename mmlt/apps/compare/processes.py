"""Several tasks side by side, each in a process of its own with a log of its own.

Without a GPU processes are forked: the parent has imported everything, which for a small network
takes longer than training it, and must not have started threads. CUDA does not survive a fork, so
with GPUs each process starts afresh, and sees one of them.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

from mmlt.apps.command_line import cores

__all__ = ['Ended', 'Task', 'Told', 'preload', 'stop_on_sigterm', 'visible_gpus', 'work_apart']

POLL_SECONDS = 0.3
GRACE_SECONDS = 300.0  # to finish a step and save
LOG_LINES_SHOWN = 15
# What runs would import one by one; scikit-learn holds the digits.
PRELOADED = ('matplotlib.pyplot', 'sklearn.datasets')

Tell = Callable[[Any], None]


@dataclass(frozen=True)
class Task:
    """Work for one process.

    Args:
        name: for people.
        log: file for everything that it prints, to which is added.
        work: called with a function that sends its argument to the parent.
    """

    name: str
    log: Path
    work: Callable[[Tell], None]


@dataclass(frozen=True)
class Told:
    """What a task has sent."""

    task: Task
    value: Any


@dataclass(frozen=True)
class Ended:
    """A task is over: ``failure`` is None, or says so with the end of its log."""

    task: Task
    failure: str | None
    seconds: float


def visible_gpus() -> list[str]:
    """GPUs of this process, as ``CUDA_VISIBLE_DEVICES`` names them."""
    count = torch.cuda.device_count()
    named = os.environ.get('CUDA_VISIBLE_DEVICES')
    return named.split(',')[:count] if named else [str(index) for index in range(count)]


def preload(gpus: Sequence[str]) -> None:
    """Import, once for all forks, what a run would spend seconds on."""
    if _forks(gpus):
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            for name in PRELOADED:
                if importlib.util.find_spec(name.split('.')[0]) is not None:
                    importlib.import_module(name)


def _forks(gpus: Sequence[str]) -> bool:
    return sys.platform == 'linux' and not gpus


def work_apart(
    tasks: Sequence[Task], jobs: int, gpus: Sequence[str] = ()
) -> Generator[Told | Ended | None, None, None]:
    """Do all tasks, ``jobs`` at a time; one that fails does not disturb the others.

    Close it (``contextlib.closing``), or let it end: whatever still works then gets SIGTERM, and
    is waited for.

    Args:
        tasks: in their order.
        jobs: at a time. Without GPUs the cores are divided among them, unless ``OMP_NUM_THREADS``
            is set.
        gpus: from :func:`visible_gpus`; a job has one of them.

    Yields:
        What tasks send, and their ends, as these come; None from time to time.
    """
    threads = None
    if not gpus and jobs > 1 and 'OMP_NUM_THREADS' not in os.environ:
        threads = max(1, cores() // jobs)
    waiting, working, slots = deque(tasks), list[_Worker](), list(range(jobs))
    try:
        while waiting or working:
            while waiting and slots:
                slot = slots.pop(0)
                working.append(_Worker(waiting.popleft(), slot, gpus, threads))
            wait([part for one in working for part in one.awaited()], POLL_SECONDS)
            for one in working:
                yield from (Told(one.task, value) for value in one.received())
            for one in [one for one in working if not one.process.is_alive()]:
                yield from (Told(one.task, value) for value in one.received())
                working.remove(one)
                slots.append(one.slot)
                yield one.end()
            yield None
    finally:
        _stop(working)


class _Worker:
    """A task in its process."""

    def __init__(self, task: Task, slot: int, gpus: Sequence[str], threads: int | None) -> None:
        self.task, self.slot, self.since = task, slot, time.monotonic()
        context: Any = multiprocessing.get_context('fork' if _forks(gpus) else 'spawn')
        task.log.parent.mkdir(parents=True, exist_ok=True)
        self.inlet: Connection
        self.inlet, outlet = context.Pipe(duplex=False)
        # Not a daemon, since such a process may have no data loading workers.
        self.process = context.Process(
            target=_in_process, args=(task, outlet, threads), daemon=False
        )
        with _environment(CUDA_VISIBLE_DEVICES=gpus[slot % len(gpus)] if gpus else None):
            self.process.start()
        outlet.close()
        self._open = True

    def awaited(self) -> list[Any]:
        return [self.process.sentinel, *([self.inlet] if self._open else [])]

    def received(self) -> Iterator[Any]:
        """What was sent since the last look."""
        try:
            while self._open and self.inlet.poll():
                yield self.inlet.recv()
        except (EOFError, OSError):
            self._open = False

    def end(self) -> Ended:
        self.process.join()
        code = self.process.exitcode
        failure = None
        if code != 0:
            how = f'ended by signal {-code}' if code < 0 else 'failed'
            failure = f'{self.task.name} {how}. {_end_of(self.task.log)}'
        return Ended(self.task, failure, time.monotonic() - self.since)


@contextlib.contextmanager
def _environment(**values: str | None) -> Iterator[None]:
    """Set variables for a process that is started inside; None leaves one as it is."""
    given = {name: value for name, value in values.items() if value is not None}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _end_of(log: Path) -> str:
    lines = log.read_text(encoding='utf-8', errors='replace').splitlines() if log.is_file() else []
    return '\n'.join([f'The end of {log}:', *(f'    {x}' for x in lines[-LOG_LINES_SHOWN:])])


def _stop(working: Sequence[_Worker]) -> None:
    """Ask all to save and end, and wait; a second Ctrl-C, or a long time, ends them at once."""
    try:
        for one in working:
            one.process.terminate()
        limit = time.monotonic() + GRACE_SECONDS
        for one in working:
            one.process.join(max(0.0, limit - time.monotonic()))
    finally:
        for one in working:
            if one.process.is_alive():
                with contextlib.suppress(OSError, AttributeError):
                    os.killpg(one.process.pid, signal.SIGKILL)  # with its data loading workers
                one.process.kill()
                one.process.join()


@contextlib.contextmanager
def stop_on_sigterm() -> Iterator[None]:
    """Inside, SIGTERM is what Ctrl-C is: ``KeyboardInterrupt``."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# In the process of a task


def _in_process(task: Task, outlet: Connection, threads: int | None) -> None:
    # A group of its own: Ctrl-C reaches the parent, which asks each task once to end.
    if hasattr(os, 'setsid'):  # Windows lacks it
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Stays open until the process ends, since a traceback is written last.
    log = task.log.open('a', buffering=1, encoding='utf-8')
    for descriptor in (1, 2):
        os.dup2(log.fileno(), descriptor)
    sys.stdout = sys.stderr = log
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    # MMEngine collects garbage for each data set; what is imported is none, and takes a second.
    gc.freeze()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        task.work(outlet.send)
    except Exception:  # whatever it is, it goes to the log of this task
        traceback.print_exc()
        sys.exit(1)


def _end_with(parent: int) -> None:
    """A parent that was killed cannot stop its tasks: they save and end by themselves."""
    while os.getppid() == parent:
        time.sleep(2)
    print('the process that started this one is gone, ending')
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)
