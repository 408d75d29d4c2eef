"""Images that are listed more than once: under one path, as equal files, or as pictures alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from .files import Scanned
from .kinds import Finding
from .sources import Listed, Split

__all__ = ['Found', 'close_pairs', 'copies', 'find_duplicates', 'nearest']

MOST_BITS = (
    10  # of 128: what another size or JPEG quality changes; photographs differ in 30 and more
)
CROWD = 500  # images that share a sixteenth of their look; so common a part says nothing
FEW = 10  # images; in a smaller class copies may well be most
PAIRS = 1 << 20  # compared at a time
BITS = np.array([bin(word).count('1') for word in range(1 << 16)], dtype=np.uint8)


@dataclass(frozen=True)
class Found:
    """A finding about one image of one split, and the image of training that it is like."""

    finding: Finding
    split: Split
    image: Listed
    other: Listed | None = None


def find_duplicates(splits: Sequence[Split], scanned: Mapping[str, Scanned]) -> Iterator[Found]:
    """All images that are there more than once and should not be.

    Args:
        splits: of a config.
        scanned: path -> what was found in the file.

    Yields:
        One finding per image: equal files in training and evaluation, or in training with
        different labels; the same for pictures that look alike; files listed twice.
    """
    listed = [(split, image) for split in splits for image in split.images]
    yield from _listed_again(listed)
    yield from _equal_files(listed, scanned)
    yield from _alike(listed, scanned)


Pairs = Sequence[tuple[Split, Listed]]
Looks = NDArray[np.uint16]
Allowed = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_]]


def _listed_again(listed: Pairs) -> Iterator[Found]:
    by_path = defaultdict(list)
    for split, image in listed:
        by_path[image.path].append((split, image))
    for entries in by_path.values():
        if len({image.label for _, image in entries}) > 1:
            labels = ' and '.join(
                f'{image.label} ({_place(split, image)})' for split, image in entries[:4]
            )
            yield Found(Finding('two_labels', f'labels {labels}'), *entries[0])
            continue
        for _, same in groupby(entries, key=lambda entry: entry[0].name):
            first, *again = same
            for split, image in again[:1]:
                detail = f'also {_place(*first)}, {len(again) + 1} times in all'
                yield Found(Finding('listed_twice', detail), split, image)


def _equal_files(listed: Pairs, scanned: Mapping[str, Scanned]) -> Iterator[Found]:
    by_digest = defaultdict(list)
    for split, image in listed:
        digest = scanned[image.path].digest if image.path in scanned else None
        if digest is not None:
            by_digest[digest].append((split, image))
    for entries in by_digest.values():
        training = [entry for entry in entries if entry[0].trains]
        # A split that is used for training and evaluation is meant to be.
        for entry in entries if training else ():
            if not entry[0].trains:
                detail = f'as {_name(*training[0])}'
                yield Found(Finding('in_training_and_test', detail), *entry, training[0][1])
        for entry in training:
            if entry[1].label != training[0][1].label and entry[1].path != training[0][1].path:
                detail = f'label {entry[1].label}; {training[0][1].label} in {_name(*training[0])}'
                yield Found(Finding('same_other_label', detail), *entry, training[0][1])


def _alike(listed: Pairs, scanned: Mapping[str, Scanned]) -> Iterator[Found]:
    training, evaluation = (
        [
            (split, image, scanned[image.path])
            for split, image in listed
            if split.trains is trains and image.path in scanned and scanned[image.path].looks
        ]
        for trains in (True, False)
    )
    gallery = _looks([one for *_, one in training])
    labels = _numbers([image.label for _, image, _ in training])
    digests = _numbers([one.digest for *_, one in training + evaluation])
    ours, theirs = digests[: len(training)], digests[len(training) :]

    def other_label(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.bool_]:
        return (labels[rows] != labels[columns]) & (ours[rows] != ours[columns])

    def other_file(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.bool_]:
        return theirs[rows] != ours[columns]

    for row, column, bits in nearest(gallery, gallery, other_label):
        if row < column or labels[row] == labels[column]:
            continue  # of two that are nearest to each other, one is enough
        (split, image, _), (other_split, other, _) = training[row], training[column]
        detail = f'label {image.label}; {other.label} of {_name(other_split, other)}; {_bits(bits)}'
        yield Found(Finding('alike_other_label', detail), split, image, other)
    looks = _looks([one for *_, one in evaluation])
    for row, column, bits in nearest(looks, gallery, other_file):
        (split, image, _), (other_split, other, _) = evaluation[row], training[column]
        detail = f'like {_name(other_split, other)}; {_bits(bits)}'
        yield Found(Finding('alike_in_training_and_test', detail), split, image, other)


def nearest(
    looks: Looks, gallery: Looks, allowed: Allowed, most_bits: int = MOST_BITS
) -> Iterator[tuple[int, int, int]]:
    """For each look its nearest in a gallery, of the :func:`close_pairs` of the same arguments.

    Yields:
        Row, column and bits, in the order of the rows.
    """
    best: dict[int, tuple[int, int]] = {}
    for rows, columns, bits in close_pairs(looks, gallery, allowed, most_bits):
        for row, column, distance in zip(
            rows.tolist(), columns.tolist(), bits.tolist(), strict=True
        ):
            best[row] = min(best.get(row, (distance, column)), (distance, column))
    for row in sorted(best):
        distance, column = best[row]
        yield row, column, distance


def close_pairs(
    looks: Looks, gallery: Looks, allowed: Allowed, most_bits: int = MOST_BITS
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """All pairs of a look and one of a gallery that differ in a few bits, some of them repeated.

    Two looks of 8 words that differ in fewer than 8 bits share a word, and nearly all that differ
    in a few more: only those that share one are compared. A word of a crowd is passed over.

    Args:
        looks: ``(N, 8)`` fingerprints.
        gallery: ``(M, 8)`` fingerprints.
        allowed: of rows and columns, ``(P,)`` each, whether a pair counts.
        most_bits: how many bits may differ.

    Yields:
        Rows, columns and bits ``(P,)`` of some pairs.
    """
    for word in range(gallery.shape[1] if len(gallery) else 0):
        order = np.argsort(gallery[:, word], kind='stable')
        ordered = gallery[order, word]
        left = np.searchsorted(ordered, looks[:, word], side='left')
        count = np.searchsorted(ordered, looks[:, word], side='right') - left
        count[count > CROWD] = 0
        for start, end in _chunks(count):
            number = count[start:end]
            rows = np.repeat(np.arange(start, end), number)
            within = np.arange(len(rows)) - np.repeat(np.cumsum(number) - number, number)
            columns = order[np.repeat(left[start:end], number) + within]
            bits = BITS[looks[rows] ^ gallery[columns]].sum(axis=1, dtype=np.int64)
            close = np.flatnonzero(bits <= most_bits)
            close = close[allowed(rows[close], columns[close])]
            yield rows[close], columns[close], bits[close]


def copies(labels: Sequence[int], scanned: Sequence[Scanned]) -> tuple[NDArray[np.int64], set[int]]:
    """Which images are copies of each other, so that they belong on one side of a split.

    Equal files are, whatever their labels; pictures of one class that look alike are, also by way
    of others. Of a class more than half of whose pictures would be one picture, as with small
    things on a white ground, the fingerprint says nothing: there only equal files count.

    Args:
        labels: ``(N,)`` of the images.
        scanned: what was found in their files.

    Returns:
        A number for each image ``(N,)``, the same for copies; the labels of such classes.
    """
    classes = np.asarray(labels, dtype=np.int64)
    parents = list(range(len(scanned)))

    def first_of(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    def join(one: int, other: int) -> None:
        low, high = sorted((first_of(one), first_of(other)))
        parents[high] = low

    seen: dict[bytes, int] = {}
    for index, one in enumerate(scanned):
        if one.digest is not None:
            join(seen.setdefault(one.digest, index), index)
    equal = list(parents)
    looking = np.flatnonzero([one.looks is not None for one in scanned])
    looks = _looks([scanned[index] for index in looking.tolist()])
    mine = classes[looking]

    def same_class(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.bool_]:
        return (rows < columns) & (mine[rows] == mine[columns])

    pairs = [
        (int(looking[row]), int(looking[column]))
        for rows, columns, _ in close_pairs(looks, looks, same_class)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
    ]
    for pair in pairs:
        join(*pair)
    numbers = np.array([first_of(index) for index in range(len(parents))], dtype=np.int64)
    doubtful = set()
    for label in np.unique(classes).tolist():
        sizes = np.unique(numbers[classes == label], return_counts=True)[1]
        if sizes.sum() >= FEW and sizes.max() > sizes.sum() / 2:
            doubtful.add(label)
    if doubtful:
        parents[:] = equal
        for pair in pairs:
            if int(classes[pair[0]]) not in doubtful:
                join(*pair)
        numbers = np.array([first_of(index) for index in range(len(parents))], dtype=np.int64)
    return numbers, doubtful


def _chunks(count: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Ranges of rows with about ``PAIRS`` pairs each."""
    total = np.cumsum(count)
    start = 0
    while start < len(count):
        done = total[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(total, done + PAIRS, side='right')))
        yield start, end
        start = end


def _looks(scanned: Sequence[Scanned]) -> Looks:
    joined = b''.join(one.looks or b'' for one in scanned)
    return np.frombuffer(joined, dtype=np.uint16).reshape(len(scanned), -1 if scanned else 8)


def _numbers(values: Sequence[object]) -> NDArray[np.int64]:
    """The same number for equal values."""
    known: dict[object, int] = {}
    return np.array([known.setdefault(value, len(known)) for value in values], dtype=np.int64)


def _bits(bits: int) -> str:
    return 'no bit differs' if bits == 0 else f'{bits} of 128 bits differ'


def _place(split: Split, image: Listed) -> str:
    return split.name if image.line is None else f'{split.name}, line {image.line}'


def _name(split: Split, image: Listed) -> str:
    return f'{image.path} ({_place(split, image)})'
