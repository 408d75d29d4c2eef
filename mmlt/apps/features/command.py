"""The command: arguments, pass, what was written."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..command_line import add_cfg_options, command_of, integer_from, parser_of
from ..config import read_config
from .extraction import extract_features

__all__ = ['main']

DESCRIPTION = """Pass all images of a config through its network once, and keep what its head would
get. Heads, losses, samplers and mixing then train on these features in seconds on a CPU, by
the data set FeaturesLT.

The weights are those of CHECKPOINT or, without it, those that the config loads itself. Images are
prepared by the test pipeline. A pass that was stopped goes on where it was."""
EXAMPLE = """examples:
  mmlt features configs/la.py --out features.npz
  mmlt features CONFIG epoch_90.pth --out features.safetensors"""


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; ends the process with status 2 if it is wrong."""
    parser = parser_of('features', DESCRIPTION, EXAMPLE)
    add = parser.add_argument
    add('config', metavar='CONFIG', help='config file, as tools/train.py takes it')
    add('checkpoint', metavar='CHECKPOINT', type=Path, nargs='?', help='weights of the network')
    add('--out', type=Path, required=True, metavar='FILE', help='.npz or .safetensors')
    add(
        '--batch-size', type=integer_from(1), metavar='N', help='(default: that of the test loader)'
    )
    add('--device', help='such as cpu or cuda:1 (default: a GPU where there is one)')
    add('--force', action='store_true', help='replace the file, and parts of a stopped pass')
    add_cfg_options(parser)
    return parser.parse_args(arguments)


def _features(args: argparse.Namespace) -> None:
    cfg = read_config(args.config, args.cfg_options)
    content = extract_features(
        cfg, args.out, args.checkpoint, args.device, args.batch_size, args.force
    )
    images = [f'{len(split.labels):,} {name}' for name, split in content.splits.items()]
    images += [f'{name} = {other}' for name, other in content.same.items()]
    counts = content.class_counts()
    print(
        f'{args.out}: {", ".join(images)} images in {len(content.classes)} classes '
        f'({max(counts)} .. {min(counts)}), {content.channels:,} features each, of '
        f'{content.identity}'
    )


main = command_of('features', parse_args, _features)
