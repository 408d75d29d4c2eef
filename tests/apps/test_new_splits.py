"""Who is trained and who is tested on: laws of the division, on labels alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mmlt.apps.check.duplicates import close_pairs, copies
from mmlt.apps.check.files import Scanned
from mmlt.apps.new.splits import SHARES, draw_splits


def counts_of(labels: list[int], splits: list[str]) -> dict[int, Counter]:
    found: dict[int, Counter] = {label: Counter() for label in labels}
    for label, split in zip(labels, splits, strict=True):
        found[label][split] += 1
    return found


@pytest.mark.parametrize('seed', range(3))
def test_every_class_is_trained_and_every_class_of_two_is_tested(seed: int) -> None:
    labels = [label for label in range(40) for _ in range(label + 1)]
    for label, found in counts_of(labels, draw_splits(labels, seed=seed)).items():
        size = label + 1
        assert found['train'] >= 1 and sum(found.values()) == size
        assert found['test'] == (max(1, int(SHARES['test'] * size + 0.5)) if size > 1 else 0)
        assert found['val'] == int(SHARES['val'] * size + 0.5)


def test_the_seed_decides_and_one_class_does_not_move_another() -> None:
    labels = [0] * 30 + [1] * 30
    first, again, other = (draw_splits(labels, seed=seed) for seed in (3, 3, 4))
    assert first == again != other
    assert draw_splits([0] * 30 + [1] * 9, seed=3)[:30] == first[:30]


@pytest.mark.parametrize('seed', range(5))
def test_copies_stay_together_and_the_laws_hold(seed: int) -> None:
    draw = np.random.default_rng(seed)
    labels = sorted(draw.integers(0, 8, size=120).tolist())
    numbers = draw.integers(0, 60, size=120)
    numbers = [int(number) * 8 + label for number, label in zip(numbers, labels, strict=True)]
    splits = draw_splits(labels, numbers, seed=seed)
    for number in set(numbers):
        sides = {split for split, one in zip(splits, numbers, strict=True) if one == number}
        assert len(sides) == 1
    for label, found in counts_of(labels, splits).items():
        units = {n for n, k in zip(numbers, labels, strict=True) if k == label}
        assert found['train'] >= 1
        assert found['test'] >= (len(units) > 1)


def test_a_class_of_copies_is_trained_on() -> None:
    assert draw_splits([0, 0, 0, 1, 1], [5, 5, 5, 1, 2]).count('test') == 1
    # One pair of copies and one image: the image is tested on, or the pair, but not both.
    assert set(draw_splits([0, 0, 0], [1, 1, 2])) == {'train', 'test'}


def test_copies_of_several_labels_are_trained_on() -> None:
    splits = draw_splits([0] * 4 + [1] * 4, [0, 1, 2, 9, 9, 4, 5, 6])
    assert splits[3] == splits[4] == 'train'
    assert {'test'} <= set(splits[:3]) and {'test'} <= set(splits[5:])


def test_given_splits_stay() -> None:
    labels = [0] * 20 + [1] * 20
    given = (['train'] * 16 + ['val'] * 4) * 2
    splits = draw_splits(labels, given=given)
    assert [split == 'val' for split in splits] == [split == 'val' for split in given]
    assert counts_of(labels, splits)[0]['test'] == 3, '20 % of the 16 that may be trained on'
    whole = [*given[:36], 'test', 'test', 'test', 'test']
    assert draw_splits(labels, given=whole) == whole


def test_images_without_a_split_beside_given_ones() -> None:
    assert draw_splits([0, 0, 0], given=['train', 'val', 'test']) == ['train', 'val', 'test']
    splits = draw_splits([0] * 10 + [0], given=[None] * 10 + ['test'])
    assert splits.count('test') == 1 and splits.count('val') == 2


def test_small_classes_spare_images_for_validation_where_none_has_a_share() -> None:
    found = counts_of([0] * 3 + [1] * 3 + [2] * 2, draw_splits([0] * 3 + [1] * 3 + [2] * 2))
    assert [found[k] for k in (0, 1)] == [Counter(train=1, val=1, test=1)] * 2
    assert found[2] == Counter(train=1, test=1)


def looks(*bits: int) -> bytes:
    """A fingerprint in which a few of the 128 bits are set."""
    row = np.zeros(128, dtype=np.uint8)
    row[list(bits)] = 1
    return np.packbits(row).tobytes()


def seen(digest: int, look: bytes | None) -> Scanned:
    return Scanned((), digest.to_bytes(16, 'big'), look)


def test_copies_by_file_and_by_look() -> None:
    far = looks(*range(0, 60))
    scanned = [
        seen(1, looks(0)),
        seen(1, looks(0)),  # the same file, in another class
        seen(2, looks(100, 101)),  # near the first two, but of another class than the second
        seen(3, far),
        seen(4, looks(*range(0, 70))),  # ten bits from the former
        seen(5, looks(*range(0, 80))),  # ten bits from that, twenty from the first of the chain
        seen(6, None),
        seen(7, None),
    ]
    numbers, doubtful = copies([0, 1, 0, 0, 0, 0, 0, 0], scanned)
    assert not doubtful
    assert numbers[0] == numbers[1] == numbers[2]
    assert numbers[3] == numbers[4] == numbers[5] != numbers[0]
    assert len(set(numbers.tolist())) == 4


def test_where_all_pictures_look_alike_only_equal_files_count() -> None:
    scanned = [seen(k // 2, looks(k % 3)) for k in range(20)]
    numbers, doubtful = copies([0] * 20, scanned)
    assert doubtful == {0}
    assert sorted(Counter(numbers.tolist()).values()) == [2] * 10
    assert copies([0] * 4, scanned[:4])[1] == set(), 'a burst of a few is believed'


def test_close_pairs_against_all_pairs() -> None:
    draw = np.random.default_rng(0)
    base = draw.integers(0, 2, size=(12, 128), dtype=np.uint8)
    noisy = np.concatenate([base ^ (draw.random(base.shape) < 0.02) for _ in range(4)])
    rows = np.packbits(noisy, axis=1).view(np.uint16)
    distance = (noisy[:, None] != noisy[None]).sum(axis=2)
    expected = {(i, j) for i, j in np.argwhere(distance <= 7) if i < j}
    found = {
        (int(i), int(j))
        for one in close_pairs(rows, rows, lambda a, b: a < b, most_bits=7)
        for i, j in zip(one[0], one[1], strict=True)
    }
    assert expected and found == expected
