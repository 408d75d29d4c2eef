"""The classes of a project in the terminal, and what a long tail of this shape usually needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmlt.functional.counts import shot_groups

from ..text import printable

__all__ = ['about_test', 'advice', 'histogram', 'summary']

ROWS = 16
PAGE = 'docs/which_method.md'
LONG = (
    'after 200 epochs of CIFAR-10-LT (one seed) it has 85.0 for 77.8 of la, and its worst class '
    '66.3 → 73.7'
)
EVEN = 1.5  # largest over smallest class of test images that are called balanced


def histogram(
    console: Console, classes: Sequence[str], counts: Mapping[str, Sequence[int]], rows: int = ROWS
) -> None:
    """Print a bar for each class, the largest first; of many classes, one for each few of them.

    Args:
        console: its width is kept.
        classes: ``(K,)`` names.
        counts: ``(K,)`` images of ``train``, ``val`` and ``test``.
        rows: at most.
    """
    train = np.asarray(counts['train'])
    order = np.argsort(-train, kind='stable')
    parts = np.array_split(order, min(rows, len(order)))
    grouped = len(order) > rows
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    room = min(max(console.width // 3, 12), 30)
    table.add_column('classes' if grouped else 'class', no_wrap=True, max_width=room)
    for name in counts:
        label = f'{name} each' if grouped and name == 'train' else name
        table.add_column(label, justify='right', no_wrap=True, min_width=len(label))
    table.add_column('mean of training images' if grouped else 'training images', no_wrap=True)
    width = max(console.width - room - (36 if grouped else 24), 8)
    largest = max(int(train.max()), 1)
    place = 1
    for part in parts:
        if grouped:
            label = f'{place}-{place + len(part) - 1}: {printable(classes[part[0]])} ...'
            low, high = int(train[part].min()), int(train[part].max())
            cells = [f'{high}-{low}' if low < high else str(low)]
            cells += [
                str(int(np.asarray(counts[name])[part].sum())) for name in counts if name != 'train'
            ]
        else:
            label = printable(classes[part[0]])
            cells = [str(int(np.asarray(counts[name])[part[0]])) for name in counts]
        length = float(train[part].mean()) / largest * width
        table.add_row(Text(label), *cells, Text(_bar(length), style='cyan'))
        place += len(part)
    console.print(table)


def _bar(length: float) -> str:
    """Blocks, in eighths of a character; something is seen of every class."""
    eighths = max(round(length * 8), 1)
    return '█' * (eighths // 8) + ' ▏▎▍▌▋▊▉'[eighths % 8].strip()


def summary(counts: Sequence[int]) -> str:
    """Training images in a line."""
    largest, smallest = max(counts), min(counts)
    groups = {name: int(mask.sum()) for name, mask in shot_groups(counts).items()}
    shots = ', '.join(f'{number} {name}-shot' for name, number in groups.items() if number)
    return (
        f'{sum(counts)} training images in {len(counts)} classes, {largest} to {smallest} per '
        f'class, imbalance ratio {largest / smallest:.3g}; {shots}'
    )


def about_test(counts: Sequence[int], given: bool) -> str:
    """What the test images are like, and so what the plain accuracy of them is about.

    Args:
        counts: ``(K,)`` test images.
        given: by the user; else they were drawn.
    """
    tested = [count for count in counts if count]
    largest, smallest = max(tested), min(tested)
    if not given:
        text = (
            'The test images have the same shares as the training images, so `top1` is mostly '
            'about the large classes.'
        )
    elif largest <= EVEN * smallest:
        images = f'{largest}' if largest == smallest else f'{smallest} to {largest}'
        text = (
            f'The test images were given, {images} per class, so `top1` weighs rare and frequent '
            'classes alike.'
        )
    else:
        text = (
            f'The test images were given, {largest} to {smallest} per class, so `top1` is mostly '
            'about the classes with many of them.'
        )
    number = f'{smallest} test image{"s" if smallest > 1 else ""}'
    return (
        f'{text} Look at `few_shot`, `worst_class` and `macro_f1` (the mean over classes) as well. '
        f'In a class of {number} one image is {100 / smallest:.3g} points; differences between '
        'methods need several seeds.'
    )


def advice(counts: Sequence[int]) -> list[str]:
    """What usually helps with counts of this shape, with figures that were measured.

    Args:
        counts: ``(K,)`` training images.

    Returns:
        A few lines, the last one names the page that the figures are from.
    """
    ratio = max(counts) / max(min(counts), 1)
    rare = int(shot_groups(counts)['few'].sum())
    page = f'Figures: {PAGE}, small data sets. Measure on yours: mmlt compare.'
    if ratio < 3:
        return [
            f'An imbalance ratio of {ratio:.2g} is hardly a long tail: ce is likely to do; la '
            'costs nothing and shows whether there is more.',
            page,
        ]
    lines = [
        'First la (logit adjustment), at no cost: +9.5 (digits, ratio 50) and +6.3 points '
        '(CIFAR-10-LT, ratio 100, 200 epochs) over ce, worst class 7 → 61 and 43 → 66; on '
        'features of a '
        'pre-trained network +3.7 ± 0.2, few-shot +3.0 ± 0.5, and with ratio 50 +7.5 ± 0.3, '
        'few-shot +19.7 ± 0.7 (34 classes of photographs, 224 pixels).'
    ]
    if ratio < 20:
        lines.append(f'These tails are longer than yours (ratio {ratio:.2g}): expect less.')
    lines.append(
        'Then la_car, of the same cost: +2.5 ± 0.7 (digits), +0.9 and medium-shot +8.4 '
        '(CIFAR-10-LT after 200 epochs, one seed; -2.5 and +2.4 after 15), -0.3 to +1.1 '
        '(photographs, on features).'
    )
    if rare:
        lines.append(
            f'For your {rare} classes of fewer than 20 images concutmix_car, at up to four times '
            'the time: few-shot 84.1 (la) → 93.7 (digits), 72.9 → 78.6 and +6.6 ± 1.4 of all '
            '(photographs, the whole network fine-tuned); on CIFAR-10-LT after 15 epochs the worst '
            f'class lost, 48 → 29; {LONG}.'
        )
    else:
        lines.append('If certain classes are taken for each other: cpmix.')
        lines.append(f'For a long training concutmix_car, at up to four times the time: {LONG}.')
    return [*lines, page]
