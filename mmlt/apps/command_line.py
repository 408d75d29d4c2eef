"""What the commands have in common: their help, options of several, and how they end."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import DictAction
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = [
    'add_cfg_options',
    'add_model',
    'add_thresholds',
    'command_of',
    'cores',
    'end_of',
    'integer_from',
    'parser_of',
    'progress_bar',
]


def parser_of(name: str, description: str, example: str) -> argparse.ArgumentParser:
    """A parser whose help keeps the lines of the description, and ends with an example."""
    return argparse.ArgumentParser(
        prog=f'mmlt {name}',
        description=description,
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def integer_from(least: int) -> Callable[[str], int]:
    """Type of an argument: an integer that is not smaller."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(
                f'expected an integer of at least {least}, got {text!r}'
            )
        return value

    return convert


def add_cfg_options(parser: argparse.ArgumentParser, tool: str = 'train') -> None:
    """``--cfg-options``, as of MMPretrain's tools."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help=f'override settings of the config, as in tools/{tool}.py',
    )


def add_model(parser: argparse.ArgumentParser, text: str) -> None:
    """``MODEL``, with ``--config`` and ``--base`` for what a checkpoint may lack."""
    add = parser.add_argument
    add('model', metavar='MODEL', type=Path, help=text)
    add('--config', type=Path, help='of a checkpoint that does not describe its model; it is run')
    add(
        '--base',
        type=Path,
        metavar='FILE',
        help='pre-trained weights that a checkpoint of a TunedBackbone was trained on, where they '
        'are not where the run had them',
    )


class _Thresholds(argparse.Action):
    def __call__(self, parser: Any, args: Any, values: Any, option: Any = None) -> None:
        many, few = values
        if not 0 <= few <= many + 1:
            raise argparse.ArgumentError(self, f'expected FEW of at most MANY + 1, got {values}')
        args.thresholds = (many, few)


def add_thresholds(parser: argparse.ArgumentParser, default: str) -> None:
    """``--thresholds MANY FEW``, checked."""
    parser.add_argument(
        '--thresholds',
        type=int,
        nargs=2,
        action=_Thresholds,
        metavar=('MANY', 'FEW'),
        help='training images above which a class is many-shot, and below which it is few-shot '
        f'(default: {default})',
    )


def command_of(
    name: str,
    parse: Callable[[Sequence[str] | None], argparse.Namespace],
    work: Callable[[argparse.Namespace], int | None],
) -> Callable[[Sequence[str] | None], int]:
    """The function of a command: reads the command line, works, and ends as :func:`end_of` says."""

    def main(arguments: Sequence[str] | None = None) -> int:
        args = parse(arguments)
        return end_of(name, lambda: work(args))

    return main


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


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def progress_bar(auto_refresh: bool = True) -> Progress:
    """A bar of counted tasks on stderr, where that is a terminal.

    Args:
        auto_refresh: by a thread, which a fork could catch holding a lock.
    """
    console = Console(stderr=True)
    return Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        auto_refresh=auto_refresh,
        disable=not console.is_terminal,
    )
