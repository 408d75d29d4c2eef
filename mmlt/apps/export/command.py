"""The command: export, read the file again, compare it with PyTorch on real images."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mmlt.apps.command_line import add_model, command_of, parser_of
from mmlt.apps.model import Model, load_model
from mmlt.apps.predict.images import find_images
from mmlt.functional.checks import OptionError, one_line
from mmlt.weight_files import write_whole

from .formats import FORMATS

__all__ = ['main']

DESCRIPTION = """Write a trained model as a file for other programs.

MODEL is a checkpoint that a run with LongTailHook has saved. Names of the classes and the
preprocessing go into the file, and mmlt predict takes it in place of the checkpoint.

The file is read again and compared with PyTorch on some of IMAGES before it gets its name. The exit
status is 0, or 2 if an argument or the model does not fit, or the file predicts something else."""
EXAMPLE = """example:
  mmlt export work_dirs/mine/epoch_100.pth --format onnx --images photos --out mine.onnx"""
COMPARED = 16  # images
TOLERANCE = 1e-4  # of probabilities: other kernels sum in another order


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; ends the process with status 2 if it is wrong."""
    parser = parser_of('export', DESCRIPTION, EXAMPLE)
    add = parser.add_argument
    add_model(parser, 'checkpoint')
    add('--format', choices=list(FORMATS), required=True, help='onnx needs mmlt[export]')
    add(
        '--images',
        metavar='IMAGES',
        nargs='+',
        required=True,
        help=f'images, folders or lists to compare on; the first {COMPARED} are used',
    )
    add('--out', type=Path, metavar='FILE', help='(default: beside MODEL, with another suffix)')
    add('--force', action='store_true', help='replace the file')
    args = parser.parse_args(arguments)
    suffix = FORMATS[args.format][0]
    if args.out is None:
        args.out = args.model.with_suffix(suffix)
    if args.out.suffix != suffix:
        parser.error(f'--out: expected a file {suffix} for {args.format}, got {str(args.out)!r}')
    if args.out.resolve() == args.model.resolve():
        parser.error(f'--out: expected another file than MODEL, got {args.out}')
    if args.out.exists() and not args.force:
        parser.error(f'--out: expected a new file, got {args.out}; --force replaces it')
    return args


def _export(args: argparse.Namespace) -> None:
    paths = find_images(args.images)
    model = load_model(args.model, args.config, 'cpu', args.base)
    images = _first_images(model, paths)
    expected = model(images)
    aside = args.out.with_name(f'.unchecked-{args.out.name}')
    try:
        batch_size = None
        problem, difference = _write_and_compare(model, images, expected, args.format, aside)
        if problem:  # some networks, such as Swin, keep the batch that they were traced with
            batch_size = 1
            problem, difference = _write_and_compare(
                model, images, expected, args.format, aside, batch_size
            )
        if problem:
            raise ValueError(f'format: {problem}; nothing was written')
        aside.replace(args.out)
    finally:
        aside.unlink(missing_ok=True)
    size = args.out.stat().st_size / 2**20
    print(
        f'{args.out}: {size:.1f} MB, {expected.shape[1]} classes, '
        f'{"one image" if batch_size else "any number of images"} at a time; largest difference '
        f'of a probability from PyTorch on {len(images)} images: {difference:.1e}'
    )


def _write_and_compare(
    model: Model,
    images: Sequence[Tensor],
    expected: NDArray[np.float32],
    name: str,
    path: Path,
    batch_size: int | None = None,
) -> tuple[str, float]:
    """What is wrong with an exported file, nothing at best, and its largest difference."""
    try:
        content = FORMATS[name][1](model, images[0][None].float(), batch_size)
        write_whole(path, content)
        exported = load_model(path, device='cpu')
        together, alone = exported(images), exported(images[:1])
    except (OptionError, OSError):
        raise
    except Exception as error:  # exporters have errors of many kinds
        return (
            f'expected a model that can be written as {name}, got one that cannot: '
            f'{type(error).__name__}: {one_line(error)}'
        ), np.inf
    difference = max(np.abs(together - expected).max(), np.abs(alone - expected[:1]).max())
    if not difference <= TOLERANCE:
        return (
            f'expected the probabilities of PyTorch within {TOLERANCE:g}, got a difference of '
            f'{difference:.2g}'
        ), float(difference)
    return '', float(difference)


def _first_images(model: Model, paths: Sequence[str]) -> list[Tensor]:
    """Those that can be read; ``ValueError`` if there are none or they have several sizes."""
    images = []
    for path in paths:
        try:
            images.append(model.prepare(path))
        except ValueError as error:
            print(f'mmlt export: skipped {path}: {error}', file=sys.stderr)
        if len(images) == COMPARED:
            break
    if not images:
        raise ValueError('images: expected an image that can be read, got none')
    sizes = {tuple(image.shape[1:]) for image in images}
    if len(sizes) > 1:
        raise ValueError(
            'images: expected images that the test pipeline makes of one size, got '
            f'{len(sizes)} sizes'
        )
    return images


main = command_of('export', parse_args, _export)
