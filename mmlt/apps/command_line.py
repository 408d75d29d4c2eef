"""What the commands have in common: their help, and how they end."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable

__all__ = ['end_of', 'parser_of']


def parser_of(name: str, description: str, example: str) -> argparse.ArgumentParser:
    """A parser whose help keeps the lines of the description, and ends with an example."""
    return argparse.ArgumentParser(
        prog=f'mmlt {name}',
        description=description,
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def end_of(name: str, work: Callable[[], int | None]) -> int:
    """Do the work of a command; a mistake of the user is one line, without a traceback.

    Args:
        name: of the command.
        work: gives the exit status, None for 0.

    Returns:
        That of the work; 2 after a ``ValueError`` or ``OSError``, 130 after Ctrl-C.
    """
    try:
        with warnings.catch_warnings():
            # MMEngine's, about a package that it uses; nothing that a user could change.
            warnings.filterwarnings('ignore', message='pkg_resources is deprecated')
            return work() or 0
    except (ValueError, OSError) as error:
        print(f'mmlt {name}: error: {" ".join(str(error).split())}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f'mmlt {name}: stopped', file=sys.stderr)
        return 130
