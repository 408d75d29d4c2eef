"""The command: arguments, progress, table or file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmlt.apps.command_line import add_model, command_of, integer_from, parser_of, progress_bar
from mmlt.apps.model import load_model

from ..text import printable
from .api import predict_batches
from .images import find_images, other_files
from .output import FORMATS, Row, as_table, save

__all__ = ['main']

DESCRIPTION = """Predict the classes of images with a trained model.

MODEL is a checkpoint that a run with LongTailHook has saved, alone, without its config, or a file
that mmlt export wrote. Nothing in it is executed.

Images that cannot be read are named and skipped. The exit status is 0, also if some were skipped; 1
if none could be read; 2 if an argument or the model does not fit."""
EXAMPLE = """example:
  mmlt predict work_dirs/mine/epoch_100.pth photos --out predictions.csv"""


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; ends the process with status 2 if it is wrong."""
    parser = parser_of('predict', DESCRIPTION, EXAMPLE)
    add = parser.add_argument
    add_model(parser, 'checkpoint or exported file')
    add('images', metavar='IMAGES', nargs='+', help='images, folders, or lists (.txt) of paths')
    add('--root', metavar='FOLDER', help='what the paths of lists are relative to')
    add('--out', type=Path, metavar='FILE', help='write .csv or .json in place of the table')
    add('--force', action='store_true', help='replace --out')
    count = integer_from(1)
    add('--top-k', type=count, default=3, metavar='K', help='classes per image (default: 3)')
    add(
        '--test-prior',
        metavar='PRIOR',
        help='how frequent the classes are among these images: uniform, train (as in training), '
        'or a file with a number for each class; else as the model has it',
    )
    add('--batch-size', type=count, default=32, metavar='N', help='images at a time (default: 32)')
    add('--device', help='cpu, cuda, cuda:1 (default: a GPU where there is one)')
    args = parser.parse_args(arguments)
    if args.out is not None:
        if args.out.suffix not in FORMATS:
            parser.error(f'--out: expected a file {"/".join(FORMATS)}, got {str(args.out)!r}')
        if args.out.exists() and not args.force:
            parser.error(f'--out: expected a new file, got {args.out}; --force replaces it')
    return args


def _predict(args: argparse.Namespace) -> int:
    paths = find_images(args.images, args.root)
    passed_over = other_files(path for path in map(Path, args.images) if path.is_dir())
    if passed_over:
        print(f'mmlt predict: {passed_over}', file=sys.stderr)
    model = load_model(args.model, args.config, args.device, args.base)
    if args.test_prior is not None and model.recipe.corrections:
        made = printable(', '.join(model.recipe.corrections))
        print(
            f'mmlt predict: the model was trained with {made}, so its predictions are taken to be '
            f'for the training prior to the power {model.recipe.prior_power:g}',
            file=sys.stderr,
        )
    rows: list[Row] = []
    skipped: list[tuple[str, str]] = []
    with progress_bar() as bar:
        task = bar.add_task('images', total=len(paths))
        for batch in predict_batches(model, paths, args.batch_size, args.test_prior):
            names = model.class_names(batch.probabilities.shape[1])
            best = np.argsort(-batch.probabilities, axis=1, kind='stable')[:, : args.top_k]
            for path, order, shares in zip(batch.paths, best, batch.probabilities, strict=True):
                rows.append(Row(path, [(names[k], float(shares[k])) for k in order]))
            skipped += batch.skipped
            bar.update(task, advance=len(batch.paths) + len(batch.skipped))
    for path, reason in skipped:
        print(printable(f'mmlt predict: skipped {path}: {reason}'), file=sys.stderr)
    if args.out is not None:
        about = dict(model=str(args.model), test_prior=args.test_prior)
        save(args.out, rows, skipped, about)
        print(f'{args.out}: {len(rows)} images')
    elif rows:
        print(as_table(rows))
    if skipped:
        count = f'{len(skipped)} of {len(paths)} images could not be read'
        print(f'mmlt predict: {count}', file=sys.stderr)
    return 0 if rows else 1


main = command_of('predict', parse_args, _predict)
