"""Who is trained on, and who is tested on: the one place that divides images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

__all__ = ['SHARES', 'draw_splits']

# Of the images of each class. A natural share, not the same number of each class: so that a class
# of ten images keeps six or seven of them for training.
SHARES = {'test': 0.20, 'val': 0.15}


def draw_splits(
    labels: Sequence[int],
    copies: Sequence[int] | None = None,
    given: Sequence[str | None] | None = None,
    seed: int = 0,
) -> list[str]:
    """Divide images into training, validation and test, each class for itself.

    Every class with an image that may be trained on keeps one. Of a class with two images or more,
    at least one is tested on, unless all are copies of one another. Splits that are given stay:
    only those that nobody gives are drawn, out of what is given for training.

    Args:
        labels: ``(N,)`` of the images.
        copies: ``(N,)``, the same number for images that are to stay on one side. If they have
            several labels, they are trained on. None: there are no copies.
        given: ``(N,)`` ``'train'``, ``'val'``, ``'test'`` or None. None: nothing is given.
        seed: of the draw.

    Returns:
        ``'train'``, ``'val'`` or ``'test'`` for each image.

    Example:
        >>> splits = draw_splits([0, 0, 0, 0, 0, 1, 1, 2])
        >>> sorted(splits[:5]), sorted(splits[5:7]), splits[7]
        (['test', 'train', 'train', 'train', 'val'], ['test', 'train'], 'train')
    """
    copies = range(len(labels)) if copies is None else copies
    given = [None] * len(labels) if given is None else given
    splits = [split or 'train' for split in given]
    missing = [name for name in SHARES if name not in given]
    labels_of = defaultdict(set)
    for label, number in zip(labels, copies, strict=True):
        labels_of[number].add(label)
    members = defaultdict(list)
    for index, label in enumerate(labels):
        if splits[index] == 'train':
            members[label].append(index)
    for label in sorted(members):
        units = defaultdict(list)
        for index in members[label]:
            units[copies[index]].append(index)
        order = np.random.default_rng([seed, label]).permutation(len(units))
        shuffled = [list(units.items())[position] for position in order]
        free = [unit for number, unit in shuffled if len(labels_of[number]) == 1]
        trained = len(members[label]) > sum(map(len, free))  # by copies of several labels
        for name, chosen in _draw(free, len(members[label]), missing, trained).items():
            for index in chosen:
                splits[index] = name
    if 'val' in missing and 'val' not in splits:
        _spare_for_validation(labels, copies, splits, labels_of)
    return splits


def _draw(
    units: Sequence[list[int]], images: int, missing: Sequence[str], trained: bool
) -> dict[str, list[int]]:
    """Which images of one class are held out: whole units, in their order, as far as they fit."""
    wanted = {name: int(SHARES[name] * images + 0.5) for name in missing}
    if 'test' in wanted and images > 1:
        wanted['test'] = max(wanted['test'], 1)
    chosen: dict[str, list[list[int]]] = {name: [] for name in (*missing, 'train')}
    for unit in units:
        fits = (name for name in missing if len(unit) <= wanted[name])
        name = next(fits, 'train')
        chosen[name].append(unit)
        if name != 'train':
            wanted[name] -= len(unit)
    if 'test' in missing and images > 1 and not chosen['test']:
        spare = chosen['train'] if len(chosen['train']) + trained > 1 else chosen.get('val', [])
        if spare:
            smallest = min(spare, key=len)
            spare.remove(smallest)
            chosen['test'].append(smallest)
    return {name: [index for unit in chosen[name] for index in unit] for name in missing}


def _spare_for_validation(
    labels: Sequence[int], copies: Sequence[int], splits: list[str], labels_of: dict[int, set[int]]
) -> None:
    """Where no class is large enough for a share: one image of each that can spare one."""
    left: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, (label, number) in enumerate(zip(labels, copies, strict=True)):
        if splits[index] == 'train':
            left[label][number].append(index)
    for units in left.values():
        free = [unit for number, unit in units.items() if len(labels_of[number]) == 1]
        if len(units) > 1 and free:
            for index in min(free, key=len):
                splits[index] = 'val'
