"""The command: arguments, images, splits, files, and what the classes look like."""

from __future__ import annotations

import argparse
import os
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from mmlt.datasets.labels import check_class_names
from mmlt.datasets.lists import folder_names
from mmlt.functional.checks import check_integer

from ..check.command import scan
from ..check.duplicates import copies
from ..check.files import Scanned
from ..check.files import Settings as ScanSettings
from ..check.kinds import KINDS
from ..check.sources import Listed, Split
from ..command_line import command_of, parser_of
from ..text import printable
from .histogram import about_test, advice, histogram, summary
from .network import choose_network
from .project import Project, check_out, write_project
from .settings import Machine, choose_settings, median_side
from .sources import SPLITS, Image, check_kept, gather
from .splits import SHARES, draw_splits

__all__ = ['main']

DESCRIPTION = """From a folder of photographs to a project: splits, one config per method, a README.

IMAGES is one of
  a folder with a folder for each class, or with folders train, val, test of such folders
  a table (.csv) with the columns path, label and, if wanted, split
  lists (.txt) of "path label" lines, with train, val or test in the name of each
  the config (.py) of a data set, whose images lie in files

Splits that are missing are drawn: 20 % of each class for the test, 15 % for validation; copies of
an image stay on one side. Unreadable images are left out. All images stay where they are."""
EXAMPLE = """examples:
  mmlt new photos --out birds
  mmlt new photos.csv --root photos --test new_photos --out birds
  mmlt new photos --out birds --weights resnet50.pth --net resnet50"""
TIMEOUT = 60  # seconds for one image
SCAN = ScanSettings(decoders=(('cv2', 'color'),))


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; ends the process with status 2 if it is wrong."""
    parser = parser_of('new', DESCRIPTION, EXAMPLE)
    add = parser.add_argument
    add('images', metavar='IMAGES', nargs='+', type=Path, help='folder, table, lists or config')
    add('--out', type=Path, required=True, metavar='PROJECT', help='folder to make')
    add('--root', type=Path, metavar='FOLDER', help='what paths in a table or lists start from')
    add('--test', type=Path, metavar='FOLDER', help='test images, in a folder for each class')
    add('--weights', type=Path, metavar='FILE', help='to fine-tune, together with --net')
    add(
        '--net',
        metavar='NAME',
        help='resnet18/34/50/101/152, resnet20/32/44/56/110 for images of 32 pixels, or a '
        'convolutional network of timm (default: efficientnet_lite0 with its weights where '
        'mmlt[pretrained] is installed; else a ResNet from scratch)',
    )
    add('--seed', type=int, default=0, metavar='N', help='of the splits (default: 0)')
    add('--force', action='store_true', help='replace the files of a project; runs are set aside')
    return parser.parse_args(arguments)


def _new(args: argparse.Namespace) -> None:
    check_integer('--seed', args.seed, '[0, 4294967295]')
    folders = [*args.images, *([args.test] if args.test is not None else [])]
    check_out(args.out, folders, args.force)
    network = None
    if args.net is not None or args.weights is not None:  # looked at before the images are
        network = choose_network(args.net, args.weights)
    found = gather(args.images, args.root, args.test)
    notes = found.notes
    images, scanned, left_out = _readable(found.images)
    classes = _checked_classes(images, found.images, notes)
    label_of = {name: label for label, name in enumerate(classes)}
    labels = [label_of[image.name] for image in images]
    numbers, doubtful = copies(labels, scanned)
    splits = draw_splits(labels, numbers.tolist(), [image.split for image in images], args.seed)
    notes += _about_splits(images, labels, numbers.tolist(), splits, classes, doubtful)
    if left_out:
        notes.append(
            f'left out, because they cannot be read or are listed twice: {len(left_out)} of '
            f'{len(found.images)} images, see splits/left_out.txt'
        )
    root = found.root
    rows: dict[str, list[tuple[str, int]]] = {name: [] for name in SPLITS}
    for image, label, split in zip(images, labels, splits, strict=True):
        rows[split].append((Path(image.path).relative_to(root).as_posix(), label))
    for name in SPLITS:
        rows[name].sort(key=lambda row: (row[1], row[0]))
    counts = {name: [0] * len(classes) for name in SPLITS}
    for label, split in zip(labels, splits, strict=True):
        counts[split][label] += 1
    if not rows['val']:
        rows['val'] = rows['test']
        notes.append(
            'no class has an image to spare for validation: val.txt repeats test.txt, so the best '
            'epoch by validation is chosen on the test images; report the last epoch'
        )
    for name in SPLITS:
        _check_folders(classes, rows[name], name)
    trained = [os.path.join(root, path) for path, _ in rows['train']]
    side = median_side(trained)
    network = network or choose_network(side=side)
    small = network.backbone['type'] == 'CIFARResNet'
    settings = choose_settings(
        len(trained), side, network.weights is not None, small, Machine.here()
    )
    given = any(image.split == 'test' for image in images)
    tested = about_test(counts['test'], given)
    about, lines = summary(counts['train']), advice(counts['train'])
    project = Project(root, classes, rows, network, settings, left_out, notes, about, tested, lines)
    said = write_project(project, args.out)
    _tell(args.out, project, counts, said)


def _tell(out: Path, project: Project, counts: dict[str, list[int]], said: Sequence[str]) -> None:
    """Print the classes, how they were divided, what may help, and what to do next."""
    console = Console(highlight=False)
    histogram(console, project.classes, counts)
    unread = [f'    {path}: {reason}' for path, reason in project.left_out[:3]]
    notes = [*(f'- {note}' for note in project.notes), *unread]
    for line in ['', f'{project.about}.', *notes, '', *project.advice, '', *said]:
        console.print(printable(line), markup=False)
    network, settings = project.network, project.settings
    start = f'fine-tuned from {network.source}' if network.weights else 'from scratch'
    console.print(
        f'{network.name}, {start}; {settings.image_size} pixels, {settings.epochs} epochs of '
        f'{settings.steps} steps.',
        markup=False,
    )
    place = shlex.quote(str(out))
    print(f'\nRead {out / "README.md"}. Next:\n  mmlt compare {place} --seeds 1 --budget 40m')


def _readable(images: Sequence[Image]) -> tuple[list[Image], list[Scanned], list[tuple[str, str]]]:
    """The images that can be decoded, what was found in them, and the others with the reason.

    An image counts once, but may be of validation and of the test, as in many benchmarks.
    """
    split = Split(('train',), images=[Listed(image.path, None) for image in images])
    scanned = scan([split], SCAN, Machine.here().cores, TIMEOUT)
    good: list[Image] = []
    found: list[Scanned] = []
    left_out: list[tuple[str, str]] = []
    seen: dict[str, list[Image]] = {}
    for image in images:
        one = scanned[image.path]
        fault = next((finding for finding in one.findings if KINDS[finding.kind].fault), None)
        former = seen.setdefault(image.path, [])
        if fault is not None:
            reason = f'{KINDS[fault.kind].title}: {fault.detail}'.rstrip(': ')
            left_out.append((image.path, reason))
        elif former and former[0].name != image.name:
            raise ValueError(
                f'IMAGES: expected one class for each image, got {former[0].name!r} and '
                f'{image.name!r} for {image.path}'
            )
        elif any({other.split, image.split} != {'val', 'test'} for other in former):
            other = former[0].split
            where = f', in {other} too' if other not in (None, image.split) else ''
            left_out.append((image.path, f'listed twice{where}'))
        else:
            former.append(image)
            good.append(image)
            found.append(one)
    if not good:
        raise ValueError(
            f'IMAGES: expected images that can be read, got none among {len(images)}; the first is '
            f'{printable(left_out[0][0])} ({printable(left_out[0][1])})'
        )
    check_kept(images, good, dict(left_out))
    return good, found, [(printable(path), printable(reason)) for path, reason in left_out]


def _checked_classes(
    images: Sequence[Image], before: Sequence[Image], notes: list[str]
) -> list[str]:
    """Names of the classes in the order of their labels; ``ValueError`` if nothing is learnt."""
    counted = Counter(image.name for image in images)
    trained = Counter(image.name for image in images if image.split in (None, 'train'))
    lost = sorted({image.name for image in before} - set(counted))
    if lost:
        notes.append(
            f'{len(lost)} classes without an image that can be read: {", ".join(lost[:5])}'
        )
    only = [name for name in counted if name not in trained]
    if only:
        raise ValueError(
            f'IMAGES: expected every class among the training images, got {only[0]!r} in '
            f'validation or test only ({len(only)} of {len(counted)} classes): is it written '
            'otherwise there?'
        )
    if len(counted) < 2:
        raise ValueError(
            f'IMAGES: expected at least two classes, got one, {next(iter(counted))!r}: there is '
            'nothing to tell it from'
        )
    given = {image.split for image in images}
    if 'test' not in given and max(trained.values()) < 2:
        raise ValueError(
            f'IMAGES: expected classes of two images or more, got one image in each of '
            f'{len(counted)} classes: nothing is left to test on'
        )
    numeric = all(name.isdecimal() for name in counted)
    return sorted(counted, key=lambda name: (int(name) if numeric else 0, name))


def _check_folders(classes: Sequence[str], rows: Sequence[tuple[str, int]], split: str) -> None:
    """``ValueError`` if the data set takes the folders of a list for those of others."""
    labels = np.array([label for _, label in rows], dtype=np.int64)
    names = folder_names([path for path, _ in rows], labels, len(classes))
    try:
        check_class_names(classes, names, f'splits/{split}.txt', 'splits/classes.txt')
    except ValueError as error:
        others = ((path, classes[k], Path(path).parent.name) for path, k in rows)
        path, name = next((p, name) for p, name, last in others if last != name and last in classes)
        raise ValueError(
            'IMAGES: expected images of a class in no folder with the name of another class, got '
            f'{printable(path)} of class {name!r}'
        ) from error


def _about_splits(
    images: Sequence[Image],
    labels: Sequence[int],
    numbers: Sequence[int],
    splits: Sequence[str],
    classes: Sequence[str],
    doubtful: set[int],
) -> list[str]:
    """Lines on how the images were divided."""
    given = [name for name in SPLITS if any(image.split == name for image in images)]
    drawn = [name for name in SHARES if name not in given]
    lines = []
    if given:
        lines.append(f'given and kept: {", ".join(given)}')
    both = len(images) - len({image.path for image in images})
    if both:
        lines.append(
            f'{both} images are in val and in test: the best epoch by validation is chosen on '
            'test images; report the last epoch'
        )
    if drawn:
        shares = ' and '.join(f'{100 * SHARES[name]:.0f} % for {name}' for name in drawn)
        lines.append(
            f'drawn from each class in proportion to its images, {shares}; at least one test image '
            'where a class has two'
        )
    tested = {label for label, split in zip(labels, splits, strict=True) if split == 'test'}
    untested = [name for label, name in enumerate(classes) if label not in tested]
    if untested:
        lines.append(
            f'{len(untested)} classes have no test image (one image, or only copies of one): '
            f'{", ".join(untested[:5])}{", ..." if len(untested) > 5 else ""}; the test says '
            'nothing of them'
        )
    several = Counter(numbers)
    again = sum(count for count in several.values() if count > 1)
    if again and drawn:
        lines.append(f'{again} images that are alike (equal files, or a burst) stay on one side')
    places: dict[int, set[str]] = {}
    kinds: dict[int, set[int]] = {}
    for number, split, label in zip(numbers, splits, labels, strict=True):
        places.setdefault(number, set()).add(split)
        kinds.setdefault(number, set()).add(label)
    leaked = sum(
        split != 'train' and 'train' in places[number]
        for number, split in zip(numbers, splits, strict=True)
    )
    if leaked:
        lines.append(
            f'{leaked} given validation or test images are like one of training, which makes '
            'figures too good: mmlt check configs/ce.py names them'
        )
    torn = [number for number, found in kinds.items() if len(found) > 1]
    if torn:
        lines.append(
            f'{len(torn)} images stand in several classes, as equal files: mmlt check '
            'configs/ce.py names them'
        )
    if doubtful:
        lines.append(
            f'in {len(doubtful)} classes most pictures look alike, such as '
            f'{classes[min(doubtful)]}: there only equal files count as copies'
        )
    return lines


main = command_of('new', parse_args, _new)
