"""The command: arguments, the classes of an epoch, some batches, files."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from numpy.typing import NDArray

import mmlt  # noqa: F401  registers everything
from mmlt.evaluation.names import write_csv
from mmlt.functional.checks import one_line
from mmlt.weight_files import read_checkpoint

from ..command_line import add_cfg_options, command_of, integer_from, parser_of, progress_bar
from ..config import read_config
from .drawing import draw_batch, draw_classes
from .feed import Feed
from .run import confusion_of, has_rectifier, rectifier_of

__all__ = ['main']

DESCRIPTION = """Show what a recipe feeds to its model, before training it.

Writes pictures of batches as the model sees them, with anchors, partners, views and mixed labels,
and of the classes that sampler and mixing feed over an epoch, beside those of the data. The batches
are those of a run with the seed of the config on one process. No weights are needed."""
EXAMPLE = """examples:
  mmlt browse configs/digits_lt/resnet8_cpmix.py
  mmlt browse mine.py --epoch 60 --checkpoint work_dirs/mine/epoch_60.pth --batches 3"""


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; ends the process with status 2 if it is wrong."""
    parser = parser_of('browse', DESCRIPTION, EXAMPLE)
    add = parser.add_argument
    add('config', help='path of the config file, as tools/train.py takes it')
    add('--out', type=Path, metavar='FOLDER', help='default: work_dirs/NAME_OF_CONFIG/browse')
    add(
        '--batches',
        type=integer_from(0),
        default=1,
        metavar='N',
        help='how many batches to draw, mixed ones first (default: 1)',
    )
    add('--epoch', type=integer_from(0), default=0, metavar='N', help='from 0 on (default: 0)')
    add(
        '--checkpoint',
        type=Path,
        metavar='FILE',
        help='of the run at the start of that epoch, for recipes that draw partners by its '
        'confusion (CP-Mix) or rectify labels by its features (ConCutMix)',
    )
    add('--force', action='store_true', help='replace the pictures of an earlier call')
    add_cfg_options(parser)
    args = parser.parse_args(arguments)
    if args.out is None:
        args.out = Path('work_dirs') / Path(args.config).stem / 'browse'
    return args


def _browse(args: argparse.Namespace) -> None:
    if (args.out / 'classes.png').exists() and not args.force:
        raise ValueError(
            f'--out: expected a folder without pictures of browse, got {args.out}; --force '
            'replaces them'
        )
    cfg = read_config(args.config, args.cfg_options)
    checkpoint = read_checkpoint(args.checkpoint, '--checkpoint') if args.checkpoint else None
    feed = Feed(cfg, args.epoch, confusion_of(checkpoint) if checkpoint else None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # what transforms say while training
            fed, images, mixed = _feed_epoch(feed)
            rectify = rectifier_of(cfg, checkpoint, feed.counts, args.epoch) if checkpoint else None
            others = [index for index in range(len(feed)) if index not in set(mixed)]
            chosen = sorted([*mixed, *others][: args.batches])
            drawn = [feed.batch(index, rectify) for index in chosen]
    except (ValueError, OSError):
        raise
    except Exception as error:  # whatever transforms and data sets raise
        raise ValueError(one_line(error, 500)) from error
    name = Path(args.config).stem
    epoch = f'{name}, epoch {args.epoch}'
    for batch in drawn:
        title = f'{epoch}, batch {batch.index}'
        draw_batch(args.out / f'batch_{batch.index:04d}.png', batch, feed.classes, title)
    counts = np.array(feed.counts)
    draw_classes(args.out / 'classes.png', counts, fed, feed.classes, epoch)
    write_csv(
        args.out / 'classes.csv',
        ('class_id', 'name', 'train_count', 'fed'),
        (
            [str(k), str(feed.classes[k]), str(counts[k]), f'{fed[k]:.3f}']
            for k in range(len(counts))
        ),
    )
    print(f'epoch {args.epoch}: {images} images in {len(feed)} batches, {len(mixed)} mixed')
    print(f'largest over smallest class: {_ratio(counts)} in the data, {_ratio(fed)} as fed')
    for note in _notes(cfg, feed, args, checkpoint):
        print(note)
    files = [f'batch_{batch.index:04d}.png' for batch in drawn]
    print(f'{args.out}: {", ".join([*files, "classes.png", "classes.csv"])}')


def _feed_epoch(feed: Feed) -> tuple[NDArray[np.float64], int, list[int]]:
    """Labels of the epoch summed, ``(K,)``, its images, and which batches are mixed."""
    total, images, mixed = np.zeros(len(feed.counts)), 0, []
    with progress_bar() as bar:
        steps = bar.track(feed.fed(), len(feed), description='batches')
        for index, (labels, size, is_mixed) in enumerate(steps):
            total += labels
            images += size
            if is_mixed:
                mixed.append(index)
    return total, images, mixed


def _ratio(numbers: NDArray[Any]) -> str:
    known = numbers[numbers > 0]
    ratio = f'{known.max() / known.min():.1f}'
    empty = len(numbers) - len(known)
    return f'{ratio} ({empty} classes have none)' if empty else ratio


def _notes(
    cfg: Config, feed: Feed, args: argparse.Namespace, checkpoint: dict[str, Any] | None
) -> list[str]:
    """What the pictures cannot show."""
    notes = []
    if feed.waits_for_confusion:
        notes.append(
            'partners follow what the run confuses, from the second epoch on; until then all '
            'classes alike (--epoch N --checkpoint FILE shows a later one)'
        )
    start = has_rectifier(cfg)
    if start is not None and (args.epoch < start or checkpoint is None):
        notes.append(
            f'labels are those of the pixels; the head rectifies them from epoch {start} on '
            '(--epoch N --checkpoint FILE shows it)'
        )
    elif start is not None:
        notes.append('classes.png sums the labels of the pixels, before the head rectifies them')
    return notes


main = command_of('browse', parse_args, _browse)
