"""Base of the samplers: one list of images per epoch, the same on all ranks, then sliced."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_dist_info, sync_random_seed
from numpy.typing import NDArray
from torch.utils.data import Sampler

from mmlt.functional.checks import check_integer
from mmlt.functional.sampling import class_pools

from ..labels import dataset_labels, dataset_num_classes

__all__ = ['EpochSampler', 'Stream']

IntArray = NDArray[np.int64]


class Stream(IntEnum):
    """What a generator of seed and epoch is for; none is 0, which numpy takes for no entry."""

    IMAGES = 11
    QUOTAS = 12
    CLASS_ORDER = 13
    PARTNERS = 21
    PAIRS = 22
    MIXED_BATCHES = 23


class EpochSampler(Sampler[int], ABC):
    """Base of samplers whose list of images is a function of seed and epoch.

    Every rank makes the whole list and takes each ``world_size``-th entry from its own rank on, as
    MMEngine's ``DefaultSampler`` does; the first entries come again at the end, so that all ranks
    get equally many. Workers see indices only, so their number changes nothing, and a resumed
    epoch is the epoch that was interrupted. ``num_batch_per_epoch`` of the data loader is
    respected.

    It belongs to MMEngine's ``EpochBasedTrainLoop``, which announces each epoch by ``set_epoch``.
    The iteration-based loop resumes by position in an endless stream; use ``InfiniteSampler``
    there.

    Args:
        dataset: the training data; its labels are read once, here.
        seed: the same on all ranks; ``None``: drawn and synchronised.

    Raises:
        TypeError: if the data set offers no labels.
        ValueError: if it is empty or an image has not exactly one label.
    """

    def __init__(self, dataset: Any, seed: int | None = None) -> None:
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.seed = sync_random_seed() if seed is None else check_integer('seed', seed, '[0, inf)')
        self.epoch = 0
        self.labels = dataset_labels(dataset)
        self.pools = class_pools(self.labels, dataset_num_classes(dataset, self.labels))

    @abstractmethod
    def _images_of_epoch(self) -> IntArray:
        """The list of all ranks for this epoch, ``(M,)``."""

    def __iter__(self) -> Iterator[int]:
        """This rank's images of the epoch."""
        return iter(self._images_of_epoch()[self.positions()].tolist())

    def positions(self) -> IntArray:
        """Where this rank's images stand in the list of all ranks, ``(len(self),)``."""
        return (np.arange(len(self)) * self.world_size + self.rank) % len(self.labels)

    def __len__(self) -> int:
        """Images on this rank."""
        return -(-len(self.labels) // self.world_size)

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration that of ``epoch``, counted from 0."""
        self.epoch = epoch

    def generator(self, stream: Stream, epoch: int | None = None) -> np.random.Generator:
        """A fresh generator of seed, epoch (``None``: the one announced last) and what it is for.

        It is the same on all ranks.
        """
        return np.random.default_rng([self.seed, self.epoch if epoch is None else epoch, stream])

    def _shuffled(self) -> IntArray:
        """All images in the order of MMEngine's ``DefaultSampler`` for this seed and epoch."""
        generator = torch.Generator()
        generator.manual_seed(self.seed + self.epoch)
        return torch.randperm(len(self.labels), generator=generator).numpy()
