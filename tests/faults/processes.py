"""Runs in forked processes: all is imported once, so that a kill costs the training alone."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sklearn.datasets
import torch
import torch.distributed as dist
from cli import prepare_cpu_ranks
from mmengine.config import Config
from mmengine.runner import Runner

from tests.conftest import plain_text

CONTEXT = multiprocessing.get_context('fork')
# Far beyond any run here on a busy machine: then it hangs.
PATIENCE_SECONDS = 300.0
Configure = Callable[[int], Config]


def warm_up() -> None:
    """What no run has to repeat, and what would take seconds of each."""
    os.environ['CUDA_VISIBLE_DEVICES'] = ''
    torch.set_num_threads(1)
    sklearn.datasets.load_digits()
    Config.pretty_text = property(plain_text)
    Runner._log_env = lambda runner, env_cfg: None
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@dataclass
class Processes:
    """The ranks of one run, each with a file for what it prints."""

    ranks: list[Any]
    logs: list[Path]
    since: float = field(default_factory=time.monotonic)

    @classmethod
    def start(
        cls,
        work_dir: Path,
        ranks: int,
        configure: Configure,
        before: Callable[[int], None] | None = None,
    ) -> Processes:
        """Fork the ranks.

        Args:
            work_dir: folder of the run; the prints go beside its logs.
            ranks: how many processes.
            configure: rank -> config, called in the process of the rank.
            before: called with the rank before the run begins, to plant a fault.
        """
        work_dir.mkdir(parents=True, exist_ok=True)
        stamp = f'{time.time_ns()}'
        meeting = work_dir / f'meeting_{stamp}'
        logs = [work_dir / f'printed_{stamp}_{rank}.txt' for rank in range(ranks)]
        processes = [
            CONTEXT.Process(
                target=_rank, args=(rank, ranks, meeting, logs[rank], configure, before)
            )
            for rank in range(ranks)
        ]
        for process in processes:
            process.start()
        return cls(processes, logs)

    def kill(self) -> bool:
        """SIGKILL for all; returns whether any was still at work."""
        alive = [process for process in self.ranks if process.is_alive()]
        for process in alive:
            os.kill(process.pid, signal.SIGKILL)
        for process in self.ranks:
            process.join()
        return bool(alive)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> str:
        """How the run ended: ``'done'``, ``'killed'``, ``'failed'`` or ``'hung'``.

        Where one rank dies the others are killed, as torchrun does.
        """
        end = time.monotonic() + seconds
        try:
            while any(process.is_alive() for process in self.ranks):
                codes = [process.exitcode for process in self.ranks]
                if any(code not in (None, 0) for code in codes) or time.monotonic() > end:
                    time.sleep(0.2)
                    codes = [process.exitcode for process in self.ranks]
                    return _verdict(codes) if any(codes) else 'hung'
                time.sleep(0.02)
            return _verdict([process.exitcode for process in self.ranks])
        finally:
            self.kill()

    def last_line(self) -> str:
        """The last line that a rank printed, for the report of a failure."""
        for log in self.logs:
            lines = log.read_text(encoding='utf-8', errors='replace').strip().splitlines()
            if lines:
                return lines[-1][:300]
        return ''


def _verdict(codes: Sequence[int | None]) -> str:
    if any(code is not None and code < 0 for code in codes):
        return 'killed'
    return 'failed' if any(codes) else 'done'


def _rank(
    rank: int,
    ranks: int,
    meeting: Path,
    printed: Path,
    configure: Configure,
    before: Callable[[int], None] | None,
) -> None:
    log = printed.open('w', buffering=1, encoding='utf-8')
    for descriptor in (1, 2):
        os.dup2(log.fileno(), descriptor)
    sys.stdout = sys.stderr = log
    torch.set_num_threads(1)
    code = 1
    try:
        cfg = configure(rank)
        if ranks > 1:
            os.environ.update(
                RANK=str(rank),
                LOCAL_RANK=str(rank),
                WORLD_SIZE=str(ranks),
                MASTER_ADDR='127.0.0.1',
                MASTER_PORT='0',
            )
            dist.init_process_group(
                'gloo', init_method=f'file://{meeting}', rank=rank, world_size=ranks
            )
            cfg.launcher = 'pytorch'
            prepare_cpu_ranks(cfg)
        if before is not None:
            before(rank)
        Runner.from_cfg(cfg).train()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        log.flush()
        # No clean-up: a group of which one rank is gone would wait for it.
        os._exit(code)
