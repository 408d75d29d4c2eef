"""Images of rare classes that may have a wrong label, or stand on both sides of a split.

Few-shot figures rest on few images: one wrong label or one copy in the training set can move them
by points.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..check.command import scan
from ..check.duplicates import Found, find_duplicates
from ..check.files import Settings
from ..check.sources import Listed, Split, read_splits
from ..command_line import cores
from ..config import read_config
from .entries import config_file
from .runs import Run, same_images

__all__ = ['Double', 'Suspect', 'find_doubles', 'find_suspects', 'rare_classes']

MOST_CLASSES = 2000  # cleanlab compares all classes with all: 2,000 take 1 s, 8,142 take 18 s
MOST_FILES = 10_000  # of a split that are read; those of the rarest classes first
FILE_SECONDS = 20.0
ACROSS = ('in_training_and_test', 'alike_in_training_and_test')


@dataclass(frozen=True)
class Suspect:
    """A test image whose label is doubtful.

    Args:
        path: of the image, '' without a file.
        label: class that it is listed as.
        given: probability of that class.
        suggested: class that the model prefers.
        probability: of that one.
    """

    path: str
    label: int
    given: float
    suggested: int
    probability: float


@dataclass(frozen=True)
class Double:
    """A test or validation image that stands in the training set as well, or nearly so.

    Args:
        path: of the image.
        label: its class, -1 where there is not exactly one.
        split: of the image.
        other: path of the image of the training set.
        other_label: class of that one.
        text: what was found.
    """

    path: str
    label: int
    split: str
    other: str
    other_label: int
    text: str


def rare_classes(run: Run) -> tuple[str, NDArray[np.bool_]]:
    """Name and classes ``(K,)`` of the rarest group of the shots that has classes."""
    for shot in ('few', 'medium', 'many'):
        mask = run.judged.groups.get(shot)
        if mask is not None and mask.any():
            return shot, mask
    return 'all', np.ones(len(run.predictions.classes), dtype=bool)


def find_suspects(runs: Sequence[Run], rare: NDArray[np.bool_]) -> tuple[list[Suspect], str]:
    """Test images of rare classes that cleanlab takes for mislabelled, most doubtful first.

    Args:
        runs: the probabilities of all that saw the same images are averaged, as several models
            know more than one.
        rare: ``(K,)``.

    Returns:
        The images, and a line that says why there are none to look for, or ''.
    """
    if importlib.util.find_spec('cleanlab') is None:
        return [], "Not looked for: cleanlab is not installed (pip install 'mmlt[cleanlab]')."
    if len(rare) > MOST_CLASSES:
        return (
            [],
            f'Not looked for: cleanlab takes too long for more than {MOST_CLASSES:,} classes.',
        )
    labels, probabilities = _mean_probabilities(runs)
    kept = np.flatnonzero(np.isfinite(probabilities).all(axis=1))
    if len(np.unique(labels[kept])) < 2:
        what = (
            'there are test images of one class only' if len(kept) else 'no prediction is a number'
        )
        return [], f'Not looked for: {what}.'
    from cleanlab.filter import find_label_issues

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # it warns of every class with few images
        found = find_label_issues(
            labels[kept],
            probabilities[kept],
            return_indices_ranked_by='self_confidence',
            filter_by='confident_learning',
            n_jobs=1,
        )
    suspects = []
    for row in kept[found]:
        label, best = int(labels[row]), int(probabilities[row].argmax())
        if rare[label] and best != label:
            values = float(probabilities[row, label]), float(probabilities[row, best])
            path = str(runs[0].predictions.paths[row])
            suspects.append(Suspect(path, label, values[0], best, values[1]))
    return suspects, ''


def _mean_probabilities(runs: Sequence[Run]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Labels ``(N,)``, and means ``(N, K)`` over the runs, ``nan`` where none is a number."""
    first = runs[0]
    labels = first.predictions.labels[: first.images]
    blocks = [
        run.predictions.probabilities.reshape(len(run.seeds), run.images, -1)
        for run in runs
        if same_images(first, run)
    ]
    total = np.zeros(blocks[0].shape[1:], dtype=np.float32)
    for block in blocks:
        mean = block.mean(axis=0)
        known = np.isfinite(mean).all(axis=1)  # a run that diverged has none
        total[known] += mean[known]
    # Of float16 or rounded ones the sum is not quite 1, which cleanlab expects.
    sums = total.sum(axis=1, keepdims=True)
    return labels, np.divide(total, sums, out=np.full_like(total, np.nan), where=sums > 0)


def find_doubles(run: Run, rare: NDArray[np.bool_]) -> tuple[list[Double], str]:
    """Images of rare classes on both sides of a split: equal files, and pictures that look alike.

    Args:
        run: with its config, which names the training images.
        rare: ``(K,)``.

    Returns:
        The images, and a line that says what was compared, or why nothing was.
    """
    try:
        splits = _splits(run)
    except ValueError as error:
        return [], f'Not looked for: {error}.'
    listed = [len(split.images) for split in splits]
    splits = [replace(split, images=_rarest(split.images, run)) for split in splits]
    scanned = scan(splits, Settings(), cores(), FILE_SECONDS)
    wanted = [len(split.images) for split in splits]
    read = [
        sum(scanned[image.path].digest is not None for image in split.images) for split in splits
    ]
    if not read[0] or not sum(read[1:]):
        of = splits[1:] if read[0] else splits[:1]
        names = ' and '.join(split.name for split in of)
        return [], f'Not looked for: the images of {names} cannot be read.'
    shown = (
        f'{sum(read[1:]):,} of {sum(listed[1:]):,} images of '
        f'{" and ".join(one.name for one in splits[1:])} '
        f'were compared with {read[0]:,} of {listed[0]:,} training images'
    )
    if wanted != listed:
        shown += ', those of the rarest classes'
    if read != wanted:
        shown += f'; {sum(wanted) - sum(read):,} cannot be read'
    doubles = []
    for found in find_duplicates(splits, scanned):
        if found.finding.kind in ACROSS and found.other is not None:
            double = _double(found, found.other)
            if any(label >= 0 and rare[label] for label in (double.label, double.other_label)):
                doubles.append(double)
    return doubles, f'{shown}.'


def _splits(run: Run) -> list[Split]:
    """Training images of the config, validation images, and the images that were predicted."""
    config = config_file(run.home)
    if config is None:
        raise ValueError('the run has no config beside it, which names the training images')
    known = read_splits(read_config(str(config), None))
    training = next((split for split in known if split.trains), None)
    if training is None or training.fault is not None:
        reason = 'none' if training is None else training.fault
        raise ValueError(f'the training images of the config cannot be listed ({reason})')
    if not training.images:
        raise ValueError('the training images are not files')
    kept = run.predictions
    split = kept.split or 'test'
    tested = [
        Listed(str(path), int(label))
        for path, label in zip(kept.paths[: run.images], kept.labels[: run.images], strict=True)
        if path
    ]
    others = [one for one in known if not one.trains and split not in one.names]
    if not tested and not any(one.images for one in others):
        raise ValueError('the test images are not files')
    return [training, *others, Split((split,), images=tested)]


def _rarest(images: Sequence[Listed], run: Run) -> list[Listed]:
    counts = run.predictions.class_counts
    if counts is None or len(images) <= MOST_FILES:
        return list(images)

    def frequency(image: Listed) -> int:
        label = _class(image)
        return int(counts[label]) if 0 <= label < len(counts) else 0

    return sorted(images, key=frequency)[:MOST_FILES]


def _double(found: Found, other: Listed) -> Double:
    equal = found.finding.kind == 'in_training_and_test'
    text = 'the same file' if equal else found.finding.detail.rsplit('; ', 1)[-1]
    return Double(
        found.image.path, _class(found.image), found.split.name, other.path, _class(other), text
    )


def _class(image: Listed) -> int:
    return image.label if isinstance(image.label, int) else -1
