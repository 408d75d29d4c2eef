r"""How often each class is drawn, and which of its images.

Sampling has two steps: the class is drawn from a vector of class probabilities, then one of the
images of that class, either independently or from a shuffled pool. Random generators come from
the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from .checks import check_number, refuse
from .counts import ClassCounts, count_labels, effective_number_weights, validate_class_counts

__all__ = [
    'ClassPools',
    'class_pools',
    'class_quotas',
    'class_sampling_probabilities',
    'draw_classes',
    'draw_images',
    'effective_number_probabilities',
    'next_images',
    'progressive_probabilities',
]

IntArray = NDArray[np.int64]
HashArray = NDArray[np.uint64]


def class_sampling_probabilities(class_counts: ClassCounts, power: float) -> Tensor:
    r"""Class probabilities :math:`p_k \propto n_k^{power}`.

    Args:
        class_counts: ``(K,)`` training images per class.
        power: 1 instance-balanced, 0.5 square root, 0 class-balanced, -1 inverse.

    Returns:
        ``(K,)`` float64, sums to 1; an empty class has probability 0 whatever the power.

    Reference:
        Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition,
        ICLR 2020, eq. 1.

    Example:
        >>> class_sampling_probabilities([8, 2, 0], power=-1)
        tensor([0.2000, 0.8000, 0.0000], dtype=torch.float64)
    """
    counts = validate_class_counts(class_counts)
    # In logarithms, so that no power overflows.
    scores = check_number('power', power) * counts.clamp(min=1).log()
    return torch.where(counts > 0, scores, -torch.inf).softmax(0)


def effective_number_probabilities(class_counts: ClassCounts, beta: float = 0.9999) -> Tensor:
    """Class probabilities if images are drawn by effective-number weight, :math:`n_k w_k`.

    Args:
        class_counts: ``(K,)`` training images per class.
        beta: in ``[0, 1)``; 0 is instance-balanced, towards 1 class-balanced.

    Returns:
        ``(K,)`` float64, sums to 1; an empty class has probability 0.

    Reference:
        Cui et al., Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019, eq. 2:
        an image's weight is 1 / (effective number of its class), here as a probability.
    """
    mass = validate_class_counts(class_counts) * effective_number_weights(class_counts, beta)
    return mass / mass.sum()


def progressive_probabilities(start: Tensor, end: Tensor, progress: float) -> Tensor:
    r"""Progressively balanced sampling (Kang et al., ICLR 2020, eq. 2).

    Args:
        start: ``(K,)`` class probabilities at the beginning.
        end: ``(K,)`` class probabilities at the end.
        progress: ``t/T`` in ``[0, 1]``.

    Returns:
        ``(K,)``, :math:`(1 - t/T)\,p^{start} + (t/T)\,p^{end}`.
    """
    return (1 - progress) * start + progress * end


def draw_classes(probabilities: ArrayLike, size: int, rng: np.random.Generator) -> IntArray:
    """Independent draws of classes.

    Args:
        probabilities: ``(K,)`` non-negative, in proportion.
        size: number of draws.
        rng: source of randomness.

    Returns:
        ``(size,)`` int64; a class of probability 0 is never among them.

    Example:
        >>> draw_classes([0., 1., 0.], 3, np.random.default_rng(0))
        array([1, 1, 1])
    """
    cumulative = np.cumsum(np.asarray(probabilities, dtype=np.float64))
    # Divided by its own last entry it ends at exactly 1, above every draw.
    classes: IntArray = np.searchsorted(cumulative / cumulative[-1], rng.random(size), side='right')
    return classes


def class_quotas(probabilities: ArrayLike, size: int, rng: np.random.Generator) -> IntArray:
    """Draws per class with the least spread: each is its expectation, rounded up or down.

    Systematic sampling: ``size`` points at equal distances from one random start, counted in the
    classes' intervals.

    Args:
        probabilities: ``(K,)`` non-negative, in proportion.
        size: number of draws altogether.
        rng: source of randomness.

    Returns:
        ``(K,)`` int64, sums to ``size``; unbiased.
    """
    cumulative = np.cumsum(np.asarray(probabilities, dtype=np.float64))
    edges = cumulative / cumulative[-1] * size
    points_below = np.ceil(edges - rng.random()).astype(np.int64)
    points_below[cumulative >= cumulative[-1]] = size
    quotas: IntArray = np.diff(points_below, prepend=0)
    return quotas


@dataclass(frozen=True)
class ClassPools:
    """Positions of a data set's images, grouped by class.

    Args:
        images: ``(M,)`` int64, class after class, in ascending order within a class.
        counts: ``(K,)`` int64, images per class.
        starts: ``(K,)`` int64, where each class begins in ``images``.
    """

    images: IntArray
    counts: IntArray
    starts: IntArray


def class_pools(labels: ArrayLike, num_classes: int) -> ClassPools:
    """Group images by class.

    Args:
        labels: ``(M,)`` integers in ``[0, num_classes)``, at least one.
        num_classes: ``K``.

    Returns:
        The pools; classes without images have empty ones.

    Example:
        >>> class_pools([1, 0, 1], num_classes=3).counts
        array([1, 2, 0])
    """
    array = np.asarray(labels)
    if array.ndim != 1 or not array.size:
        raise refuse('labels', '(M,) integers, at least one', array.shape)
    counts = np.array(count_labels(array, num_classes))
    return ClassPools(np.argsort(array, kind='stable'), counts, np.cumsum(counts) - counts)


def draw_images(pools: ClassPools, classes: NDArray[Any], rng: np.random.Generator) -> IntArray:
    """For each class drawn, one of its images, uniformly and independently.

    Args:
        pools: images by class.
        classes: ``(n,)`` integers, none of an empty class.
        rng: source of randomness.

    Returns:
        ``(n,)`` int64 positions in the data set.

    Example:
        >>> pools = class_pools([1, 0, 1], num_classes=2)
        >>> draw_images(pools, np.array([0, 0]), np.random.default_rng(0))
        array([1, 1])
    """
    within = rng.integers(0, pools.counts[classes])
    images: IntArray = pools.images[pools.starts[classes] + within]
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

    Reference:
        Class-aware sampling: Shen et al., Relay Backpropagation for Effective Learning of Deep
        Convolutional Neural Networks, ECCV 2016, section 3.2.
    """
    quotas = np.bincount(classes, minlength=len(pools.counts))
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
