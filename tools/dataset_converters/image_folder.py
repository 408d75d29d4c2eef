#!/usr/bin/env python3
"""Turn an image folder (class/image.jpg) into list files with a long-tailed training split.

Writes train.txt, test.txt, val.txt (only with --val-per-class) and classes.txt, prints the class
histogram and the data set entries for a config. The images stay where they are.

    python tools/dataset_converters/image_folder.py data/birds/images --out data/birds \\
        --imbalance-ratio 100 --test-per-class 20
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from flags import integer, number

EXTENSIONS = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.ppm', '.tif', '.tiff')
Split = list[list[str]]  # paths of the images of each class


def find_images(root: Path, extensions: Sequence[str] = EXTENSIONS) -> dict[str, list[str]]:
    """Images of each class folder, relative to ``root``; the order of the folders is their label.

    Images may be deeper than the class folder. Raises ``ValueError`` if there are none, or if a
    file name cannot be written in a list.
    """
    if not root.is_dir():
        raise ValueError(f'image_root: expected a folder, got {root}')
    folders = sorted(f for f in root.iterdir() if f.is_dir() and not f.name.startswith('.'))
    images = {
        folder.name: sorted(
            file.relative_to(root).as_posix()
            for file in folder.rglob('*')
            if file.suffix.lower() in extensions and not file.name.startswith('.')
        )
        for folder in folders
    }
    if not any(images.values()):
        raise ValueError(
            f'image_root: expected {root}/CLASS/IMAGE with the extensions {" ".join(extensions)}, '
            'got no such image'
        )
    for path in (path for paths in images.values() for path in paths):
        if path != path.strip() or '\n' in path or '\r' in path:
            raise ValueError(
                'image_root: expected paths without line breaks or blanks at their ends, '
                f'got {path!r}'
            )
    return images


def split_images(
    images: Sequence[Sequence[str]],
    imbalance_ratio: float | None = None,
    imbalance_type: str = 'exp',
    max_count: int | None = None,
    val_per_class: int = 0,
    test_per_class: int = 20,
    seed: int = 0,
) -> dict[str, Split]:
    """Draw balanced test and validation splits, then a long-tailed one for training.

    Args:
        images: paths of the images of each class.
        imbalance_ratio: largest over smallest class; ``None`` trains on all that is left.
        imbalance_type: ``'exp'`` or ``'step'``; the first class is the largest.
        max_count: training images of the largest class; ``None``: all that it has.
        val_per_class, test_per_class: images of each class.
        seed: of the draw.

    Returns:
        ``train``, ``val`` and ``test``; no two of them share an image.

    Raises:
        ValueError: if a class has too few images, or an option is out of range.
    """
    from mmlt.functional.checks import check_choice, check_integer, refuse
    from mmlt.functional.imbalance import IMBALANCE_TYPES

    check_integer('val_per_class', val_per_class, '[0, inf)')
    check_integer('test_per_class', test_per_class, '[0, inf)')
    if max_count is not None and imbalance_ratio is None:
        raise refuse('max_count', 'an imbalance_ratio beside it (1 for equal classes)', max_count)
    held_out = val_per_class + test_per_class
    short = [k for k, paths in enumerate(images) if 0 < len(paths) <= held_out]
    if short:
        smallest = min(short, key=lambda k: len(images[k]))
        raise ValueError(
            f'test_per_class + val_per_class: expected at most {len(images[smallest]) - 1}, which '
            f'leaves class {smallest} ({images[smallest][0]}, ...) one training image, got '
            f'{test_per_class} + {val_per_class}; {len(short)} of {len(images)} classes are short'
        )
    splits: dict[str, Split] = {'train': [], 'val': [], 'test': []}
    for k, paths in enumerate(images):
        order = np.random.default_rng([seed, k]).permutation(len(paths))
        shuffled = [paths[i] for i in order]
        splits['test'].append(shuffled[:test_per_class])
        splits['val'].append(shuffled[test_per_class:held_out])
        splits['train'].append(shuffled[held_out:])
    if imbalance_ratio is not None:
        profile = IMBALANCE_TYPES[
            check_choice('imbalance_type', imbalance_type, tuple(IMBALANCE_TYPES))
        ]
        if max_count is None:
            max_count = max([1, *map(len, splits['train'])])
        # A class with fewer images than its count keeps all of them.
        counts = profile(max_count, len(images), imbalance_ratio)
        pools = zip(splits['train'], counts, strict=True)
        splits['train'] = [pool[:count] for pool, count in pools]
    return {name: [sorted(paths) for paths in split] for name, split in splits.items()}


def format_list(split: Split) -> str:
    """Text of a list file: one ``path label`` line per image."""
    return ''.join(f'{path} {label}\n' for label, paths in enumerate(split) for path in paths)


def histogram(classes: Sequence[str], counts: Sequence[int], rows: int = 40) -> str:
    """A bar for each class, the largest first, and a summary line.

    Of more than ``rows`` classes, the largest and the smallest are shown.
    """
    from mmlt.functional.counts import shot_groups

    order = np.argsort(-np.asarray(counts), kind='stable')
    shown = list(order) if len(order) <= rows else [*order[: rows // 2], *order[-rows // 2 :]]
    width = max(len(classes[k]) for k in shown)
    largest = max(max(counts), 1)
    lines = [
        f'{classes[k]:<{width}} {counts[k]:>7}  {"#" * round(40 * counts[k] / largest)}'.rstrip()
        for k in shown
    ]
    if len(order) > rows:
        lines.insert(rows // 2, f'... {len(order) - len(shown)} more classes ...')
    groups = {name: int(mask.sum()) for name, mask in shot_groups(counts).items()}
    smallest = min(counts)
    ratio = f'{largest / smallest:.1f}' if smallest else 'undefined, a class has no images'
    lines.append(
        f'{sum(counts)} training images of {len(counts)} classes, {largest} to {smallest} per '
        f'class, imbalance ratio {ratio}; '
        + ', '.join(f'{number} {name}-shot' for name, number in groups.items())
    )
    return '\n'.join(lines)


def config_snippet(root: Path, out: Path, lists: Sequence[str], num_classes: int) -> str:
    """Entries of a config that read the lists."""
    common = (
        f"type='LongTailListDataset', data_root={out.as_posix()!r}, num_classes={num_classes}, "
        f'data_prefix={root.absolute().as_posix()!r}, classes={(out / "classes.txt").as_posix()!r}'
    )
    return '\n'.join(f'{Path(name).stem} = dict({common}, ann_file={name!r})' for name in lists)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    summary, _, details = (__doc__ or '').partition('\n\n')
    parser = argparse.ArgumentParser(
        description=summary, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('image_root', type=Path, help='folder with one folder of images per class')
    add('--out', type=Path, help='folder for the list files (default: the image root)')
    ratio = 'largest over smallest training class, such as 100 (default: all that is left is kept)'
    add('--imbalance-ratio', type=number(1), metavar='R', help=ratio)
    kinds = 'exp: sizes fall exponentially with the label; step: half of the classes are small'
    add('--imbalance-type', choices=('exp', 'step'), default='exp', help=kinds)
    largest = 'training images of the largest class (default: all it has); needs --imbalance-ratio'
    add('--max-count', type=integer(1), metavar='N', help=largest)
    for name, kind, default, text in (
        ('--test-per-class', integer(0), 20, 'test images of each class'),
        ('--val-per-class', integer(0), 0, 'validation images of each class'),
        ('--seed', integer(0, 2**32 - 1), 0, 'of the draw'),
        ('--rows', integer(1), 40, 'bars of the histogram at most'),
    ):
        add(name, type=kind, default=default, metavar='N', help=f'{text} (default: {default})')
    add('--overwrite', action='store_true', help='replace list files that exist')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    args = parse_args(argv)
    out = args.out or args.image_root
    try:
        images = find_images(args.image_root)
        splits = split_images(
            list(images.values()),
            args.imbalance_ratio,
            args.imbalance_type,
            args.max_count,
            args.val_per_class,
            args.test_per_class,
            args.seed,
        )
        files = {f'{name}.txt': format_list(split) for name, split in splits.items()}
        lists = [name for name, text in files.items() if text]
        files = {name: files[name] for name in lists}
        files['classes.txt'] = ''.join(f'{name}\n' for name in images)
        present = [name for name in files if (out / name).exists()]
        if present and not args.overwrite:
            raise ValueError(f'--out: {out} has {", ".join(present)} already; see --overwrite')
        out.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (out / name).write_text(text, encoding='utf-8')
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(histogram(list(images), [len(paths) for paths in splits['train']], args.rows))
    print(f'\nWritten to {out}: {", ".join(files)}. In a config:\n')
    print(config_snippet(args.image_root, out, lists, len(images)))
    return 0


if __name__ == '__main__':
    sys.exit(main())
