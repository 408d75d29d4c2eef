r"""Images of a class: drawn independently, or one after another from a shuffled pool.

Without replacement a class's pool is used up before an image comes again. The order in which it is
walked depends on seed and round only, and the place in it on how many images of the class were
drawn before, so that any epoch can be computed without the ones before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ['ClassPools', 'class_pools', 'draw_images', 'next_images']

IntArray = NDArray[np.int64]
HashArray = NDArray[np.uint64]


@dataclass(frozen=True)
class ClassPools:
    r"""Positions of a data set's images, grouped by class.

    Args:
        images: ``(M,)`` int64, the images of class 0, then those of class 1, and so on, in
            ascending order within a class.
        counts: ``(K,)`` int64, images per class.
        starts: ``(K,)`` int64, where each class begins in ``images``.

    Example:
        >>> class_pools([1, 0, 1], num_classes=3).images
        array([1, 0, 2])
    """

    images: IntArray
    counts: IntArray
    starts: IntArray


def class_pools(labels: ArrayLike, num_classes: int) -> ClassPools:
    """Group images by class.

    Args:
        labels: ``(M,)`` integers in ``[0, num_classes)``.
        num_classes: ``K``.

    Returns:
        The pools; classes without images have empty ones.

    Raises:
        ValueError: if there is no image or a label lies outside the range.

    Example:
        >>> class_pools([1, 0, 1], num_classes=3).counts
        array([1, 2, 0])
    """
    array = np.asarray(labels, dtype=np.int64)
    if array.ndim != 1 or not array.size:
        raise ValueError(f'labels: expected at least one, in one dimension, got {array.shape}')
    if array.min() < 0 or array.max() >= num_classes:
        raise ValueError(
            f'labels: expected integers in [0, {num_classes}), got {array.min()} .. {array.max()}'
        )
    counts = np.bincount(array, minlength=num_classes)
    return ClassPools(np.argsort(array, kind='stable'), counts, np.cumsum(counts) - counts)


def draw_images(pools: ClassPools, classes: NDArray[Any], rng: np.random.Generator) -> IntArray:
    """For each class drawn, one of its images, uniformly and independently.

    Args:
        pools: images by class.
        classes: ``(n,)`` integers, none of an empty class.
        rng: source of randomness.

    Returns:
        ``(n,)`` int64 positions in the data set.

    Raises:
        ValueError: if a class has no image.

    Example:
        >>> pools = class_pools([1, 0, 1], num_classes=2)
        >>> draw_images(pools, np.array([0, 0]), np.random.default_rng(0))
        array([1, 1])
    """
    counts = pools.counts[classes]
    if counts.size and counts.min() == 0:
        raise ValueError(f'classes: class {classes[counts.argmin()]} has no image to draw')
    images: IntArray = pools.images[pools.starts[classes] + rng.integers(0, counts)]
    return images


def next_images(pools: ClassPools, classes: NDArray[Any], drawn: IntArray, seed: int) -> IntArray:
    """For each class drawn, the next image of its shuffled pool; a new shuffle when it is empty.

    Args:
        pools: images by class.
        classes: ``(n,)`` integers, in the order of the draws; none of an empty class.
        drawn: ``(K,)`` int64, how often each class was drawn before.
        seed: of the shuffles.

    Returns:
        ``(n,)`` int64 positions in the data set. The draws of a class, with the earlier ones that
        ``drawn`` counts, are permutations of its pool one after another.

    Raises:
        ValueError: if a class has no image.

    Reference:
        Class-aware sampling: Shen et al., Relay Backpropagation for Effective Learning of Deep
        Convolutional Neural Networks, ECCV 2016, section 3.2.

    Example:
        >>> pools = class_pools([0, 0, 0], num_classes=1)
        >>> first = next_images(pools, np.zeros(2, int), drawn=np.array([0]), seed=0)
        >>> last = next_images(pools, np.zeros(1, int), drawn=np.array([2]), seed=0)
        >>> sorted([*first.tolist(), *last.tolist()])
        [0, 1, 2]
    """
    classes = np.asarray(classes, dtype=np.int64)
    if not classes.size:
        return classes
    quotas = np.bincount(classes, minlength=len(pools.counts))
    if (pools.counts[quotas > 0] == 0).any():
        empty = np.flatnonzero((quotas > 0) & (pools.counts == 0))[0]
        raise ValueError(f'classes: class {empty} has no image to draw')
    order = np.argsort(classes, kind='stable')
    images = np.empty_like(classes)
    images[order] = _walk_pools(pools, quotas, drawn, seed)
    return images


def _walk_pools(pools: ClassPools, quotas: IntArray, drawn: IntArray, seed: int) -> IntArray:
    """The next ``quotas[k]`` images of every class ``k``, class after class."""
    used = np.flatnonzero(quotas)
    counts, quota, before = pools.counts[used], quotas[used], drawn[used]
    first_round = before // counts
    rounds = (before + quota - 1) // counts - first_round + 1

    # One block for each class and round: a whole pool, in the order of its images' hashes.
    block_class = np.repeat(np.arange(len(used)), rounds)
    block_round = first_round[block_class] + _ramp(rounds)
    block_size = counts[block_class]
    block = np.repeat(np.arange(len(block_size)), block_size)
    image = pools.images[pools.starts[used][block_class][block] + _ramp(block_size)]
    # Block number above, hash below: one sort shuffles all blocks.
    keys = (block.astype(np.uint64) << np.uint64(40)) | (
        _hash(image, block_round[block], seed) >> np.uint64(24)
    )
    walked = image[np.argsort(keys, kind='stable')]

    class_start = np.cumsum(counts * rounds) - counts * rounds
    images: IntArray = walked[np.repeat(class_start + before % counts, quota) + _ramp(quota)]
    return images


def _ramp(lengths: IntArray) -> IntArray:
    """``0 .. lengths[0]-1, 0 .. lengths[1]-1, ...``"""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)


def _hash(images: IntArray, rounds: IntArray, seed: int) -> HashArray:
    """64 random-looking bits for each image and round, the same on every machine."""
    offset = np.uint64(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])
    return _mix(_mix(images.astype(np.uint64) + offset) ^ rounds.astype(np.uint64))


def _mix(bits: HashArray) -> HashArray:
    """SplitMix64's output function (Steele, Lea and Flood, OOPSLA 2014)."""
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: HashArray = bits ^ (bits >> np.uint64(31))
    return mixed
