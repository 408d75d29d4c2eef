"""The command: arguments, config, scan with a progress bar, report."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ..command_line import add_cfg_options, command_of, cores, integer_from, parser_of, progress_bar
from ..config import read_config
from .duplicates import find_duplicates
from .files import Scanned, Settings, scan_file
from .kinds import Finding
from .pool import Lost, map_files
from .report import Row, describe, has_faults, row_of, save
from .sources import Split, read_splits

__all__ = ['main']

DESCRIPTION = """Look through all images that a config trains and evaluates on, before training.

Every file is read once, in several processes, and what is wrong is reported together: faults, which
stop a training or let it learn from damaged images, and warnings.

The exit status is 0 without faults, 1 with faults, 2 if the check itself could not be done."""
EXAMPLE = """example:
  mmlt check configs/mine/resnet50_logit_adjustment.py --out faults.csv"""
FORMATS = ('.csv', '.json')
REFRESH_SECONDS = 0.2


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; ends the process with status 2 if it is wrong."""
    parser = parser_of('check', DESCRIPTION, EXAMPLE)
    add = parser.add_argument
    add('config', help='path of the config file, as tools/train.py takes it')
    add_cfg_options(parser)
    add(
        '--workers',
        type=integer_from(1),
        default=cores(),
        metavar='N',
        help='processes (default: all cores)',
    )
    add('--out', type=Path, metavar='FILE', help='write every finding as .csv or .json')
    add('--force', action='store_true', help='replace --out')
    add(
        '--show',
        type=integer_from(0),
        default=10,
        metavar='N',
        help='files of each kind to print (default: 10)',
    )
    add('--strict', action='store_true', help='exit with 1 for warnings too')
    add(
        '--max-pixels',
        type=integer_from(1),
        default=Settings().max_pixels,
        metavar='N',
        help='an image with more pixels is a fault and is not decoded (default: %(default)s)',
    )
    add(
        '--timeout',
        type=float,
        default=60,
        metavar='SECONDS',
        help='a file that takes longer is a fault (default: 60)',
    )
    args = parser.parse_args(arguments)
    if not 0 < args.timeout < float('inf'):
        parser.error(f'--timeout: expected a number in (0, inf), got {args.timeout}')
    if args.out is not None and args.out.suffix not in FORMATS:
        parser.error(f'--out: expected a file {"/".join(FORMATS)}, got {str(args.out)!r}')
    if args.out is not None and args.out.exists() and not args.force:
        parser.error(f'--out: expected a new file, got {args.out}; --force replaces it')
    return args


def scan(
    splits: Sequence[Split], settings: Settings, workers: int, timeout: float
) -> dict[str, Scanned]:
    """What is found in each file of some splits; a file of several is read once.

    Args:
        splits: of a config.
        settings: of the scan of one file.
        workers: processes.
        timeout: seconds for one file.

    Returns:
        Path -> findings and fingerprints.
    """
    files = list(dict.fromkeys(image.path for split in splits for image in split.images))
    scanned: dict[str, Scanned] = {}
    with progress_bar(auto_refresh=False) as bar:
        task, shown = bar.add_task('images', total=len(files)), time.monotonic()
        for position, result in map_files(
            partial(scan_file, settings=settings), files, min(workers, len(files)), timeout
        ):
            if isinstance(result, Lost):
                detail = f'not read in {timeout:g} s' if result.kind == 'hangs' else ''
                result = Scanned((Finding(result.kind, detail),))
            scanned[files[position]] = result
            if time.monotonic() - shown > REFRESH_SECONDS or len(scanned) == len(files):
                shown = time.monotonic()
                bar.update(task, completed=len(scanned), refresh=True)
    return scanned


def collect(splits: Sequence[Split], scanned: dict[str, Scanned]) -> list[Row]:
    """All findings, in the order of the splits and of their images."""
    rows = []
    for split in splits:
        if split.fault is not None:
            rows.append(row_of(Finding('data_set', f'{split.data_set}: {split.fault}'), split))
        rows += [row_of(Finding('log', line), split) for line in split.log]
    said = set()
    for split in splits:
        for image in split.images:
            for finding in scanned[image.path].findings:
                if (image.path, finding) not in said:
                    said.add((image.path, finding))
                    rows.append(row_of(finding, split, image))
    rows += [
        row_of(found.finding, found.split, found.image)
        for found in find_duplicates(splits, scanned)
    ]
    return rows


def describe_splits(splits: Sequence[Split]) -> str:
    """A line for each split: how many images, and which are not scanned."""
    lines = []
    for split in splits:
        parts = [f'{len(split.images)} files'] if split.images or not split.in_memory else []
        if split.in_memory:
            parts.append(f'{split.in_memory} images in memory, nothing to scan')
        if split.remote:
            parts.append(f'{split.remote} images on a server, which are not scanned')
        if split.fault is not None:
            parts = ['cannot be read']
        about = [split.data_set]
        if split.decoders:
            about.append(f'decoder: {", ".join(backend for backend, _ in split.decoders)}')
        lines.append(f'{split.name}: {"; ".join(parts)} ({", ".join(about)})')
    return '\n'.join(lines)


def _check(args: argparse.Namespace) -> int:
    start = time.monotonic()
    splits = read_splits(read_config(args.config, args.cfg_options))
    print(describe_splits(splits), flush=True)
    decoders = dict.fromkeys(one for split in splits for one in split.decoders)
    settings = Settings(args.max_pixels, tuple(decoders))
    scanned = scan(splits, settings, args.workers, args.timeout)
    rows = collect(splits, scanned)
    print(f'{len(scanned)} files scanned in {time.monotonic() - start:.0f} s\n')
    print(describe(rows, args.show))
    if args.out is not None:
        try:
            save(rows, args.out)
        except OSError as error:
            raise ValueError(f'--out: {error}') from error
        print(f'\n{args.out}: all {len(rows)} findings')
    return int(has_faults(rows) or (args.strict and bool(rows)))


main = command_of('check', parse_args, _check)
