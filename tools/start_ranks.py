"""``torchrun``, silent about ranks that have said themselves what is wrong.

A rank that finds a fault in config or data prints one line and exits with status 2. ``torchrun``
would add a traceback of its own and a table, and push that line out of sight.
"""

from __future__ import annotations

import logging
import sys

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run

FAULTY = 2  # as in tools/preflight.py, which would take seconds to import


def is_about_faults(record: logging.LogRecord) -> bool:
    """Whether the launcher reports that it ends ranks, or that one has exited with status 2."""
    text = record.getMessage()
    return 'closing signal' in text or f'(exitcode: {FAULTY})' in text


def main(argv: list[str] | None = None) -> int:
    """Start the ranks, wait for them; 0, or 2 for faults. Other failures raise, as in torchrun."""
    logger = logging.getLogger('torch.distributed.elastic.multiprocessing.api')
    logger.addFilter(lambda record: not is_about_faults(record))
    try:
        run(parse_args(argv))
    except ChildFailedError as error:
        if error.get_first_failure()[1].exitcode != FAULTY:
            raise
        return FAULTY
    return 0


if __name__ == '__main__':
    sys.exit(main())
