"""``torchrun``, silent about ranks that have said themselves what is wrong, with time to save.

A rank that finds a fault in config or data prints one line and exits with status 2. ``torchrun``
would add a traceback of its own and a table, and push that line out of sight.

Where more ranks start than there are CPU cores, each takes long to get that far. There the launcher
looks for faults itself before it starts any; elsewhere that would only cost every run some seconds.

On a signal the ranks finish their step and write a checkpoint. ``torchrun`` kills what is left
after 30 seconds; a large network on a network drive, or a step on a CPU, takes longer.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import signal
import sys
from pathlib import Path

from machine import FAULTY, cpu_cores
from torch.distributed.elastic.multiprocessing.api import PContext, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run

SECONDS_TO_SAVE = 110
"""How long ranks may take after a signal: a little less than the notice in docs/distributed.md."""


def is_about_faults(record: logging.LogRecord) -> bool:
    """Whether the launcher reports that it ends ranks, or that one has exited with status 2."""
    text = record.getMessage()
    return 'closing signal' in text or f'(exitcode: {FAULTY})' in text


def give_time_to_save() -> None:
    """Let ranks that a signal ends have longer; those that another has failed go as ever."""
    stock = PContext.close

    def close(
        context: PContext, death_sig: signal.Signals | None = None, timeout: int = 30
    ) -> None:
        if isinstance(sys.exc_info()[1], SignalException):
            timeout = max(timeout, SECONDS_TO_SAVE)
        stock(context, death_sig, timeout)

    PContext.close = close


def look_first(args: argparse.Namespace) -> None:
    """End with status 2 where the tool that is going to run on each rank has faults."""
    processes = args.nproc_per_node
    if not processes.isdecimal() or int(processes) <= cpu_cores():
        return
    tool = importlib.import_module(Path(args.training_script).stem)
    preflight = importlib.import_module('preflight')
    preflight.run_tool(lambda: preflight.check_alone(tool, args.training_script_args))


def main(argv: list[str] | None = None) -> int:
    """Start the ranks, wait for them; 0, or 2 for faults. Other failures raise, as in torchrun."""
    logger = logging.getLogger('torch.distributed.elastic.multiprocessing.api')
    logger.addFilter(lambda record: not is_about_faults(record))
    args = parse_args(argv)
    look_first(args)
    give_time_to_save()
    try:
        run(args)
    except ChildFailedError as error:
        if error.get_first_failure()[1].exitcode != FAULTY:
            raise
        return FAULTY
    return 0


if __name__ == '__main__':
    sys.exit(main())
