"""What every sampler of ours does: one list for each epoch, alike on all ranks, then sliced."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_dist_info, sync_random_seed
from numpy.typing import NDArray
from torch.utils.data import Sampler

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


class EpochSampler(Sampler[Any]):
    """Base of samplers whose list is a function of seed and epoch.

    Every rank makes the whole list and takes each ``world_size``-th entry from its own rank on, as
    MMEngine's ``DefaultSampler`` does. Workers see indices only, so their number changes nothing,
    and a resumed epoch is the epoch that was interrupted. ``num_batch_per_epoch`` of the
    data loader is respected.

    It belongs to MMEngine's ``EpochBasedTrainLoop``, which announces each epoch by ``set_epoch``.
    The iteration-based loop fetches the first batches before a checkpoint is loaded and resumes
    by position in an endless stream; use ``InfiniteSampler`` there.

    Args:
        dataset: the training data; its labels are read once, here.
        seed: the same on all ranks; ``None``: drawn and synchronised.
        round_up: repeat the first entries so that all ranks get equally many.

    Raises:
        TypeError: if the data set offers no labels.
        ValueError: if it is empty or an image has not exactly one label.
    """

    def __init__(self, dataset: Any, seed: int | None = None, round_up: bool = True) -> None:
        if seed is not None and seed < 0:
            raise ValueError(f'seed: expected a number of at least 0, got {seed}')
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.seed = sync_random_seed() if seed is None else int(seed)
        self.epoch = 0
        self.round_up = round_up
        self.pending_skip = 0
        self.labels = dataset_labels(dataset)
        self.pools = class_pools(self.labels, dataset_num_classes(dataset, self.labels))
        size = len(self.labels)
        self.total_size = math.ceil(size / self.world_size) * self.world_size if round_up else size

    @abstractmethod
    def _epoch_entries(self, positions: IntArray) -> Iterator[Any]:
        """Entries of this epoch's list at these positions, which lie in ``[0, M)``."""

    def __iter__(self) -> Iterator[Any]:
        """This rank's entries of the epoch."""
        positions, self.pending_skip = self._positions(), 0
        return self._epoch_entries(positions)

    def _positions(self) -> IntArray:
        """What is left of this rank's share of the list."""
        positions = np.arange(self.rank, self.total_size, self.world_size) % len(self.labels)
        return positions[self.pending_skip :]

    def __len__(self) -> int:
        """Entries on this rank."""
        return len(range(self.rank, self.total_size, self.world_size))

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration that of ``epoch``.

        Args:
            epoch: from 0.
        """
        self.epoch = epoch

    def skip(self, num_samples: int) -> None:
        """Leave out the first entries of the next iteration, and only of that one.

        Args:
            num_samples: entries of this rank, at most ``len(self)``.

        Raises:
            ValueError: if there are not so many in an epoch.
        """
        if not 0 <= num_samples <= len(self):
            raise ValueError(
                f'num_samples: expected a number in [0, {len(self)}], as the list of '
                f'{type(self).__name__} ends with the epoch, got {num_samples}. Train and resume '
                'with an epoch-based loop: train_cfg=dict(by_epoch=True, max_epochs=...)'
            )
        self.pending_skip = num_samples

    def generator(self, stream: Stream, epoch: int | None = None) -> np.random.Generator:
        """A fresh generator, the same on all ranks.

        Args:
            stream: what it is for.
            epoch: ``None``: the epoch announced last.

        Returns:
            The generator of seed, epoch and stream.
        """
        return np.random.default_rng([self.seed, self.epoch if epoch is None else epoch, stream])

    def _shuffled(self) -> IntArray:
        """All images in the order of MMEngine's ``DefaultSampler`` for this seed and epoch."""
        generator = torch.Generator()
        generator.manual_seed(self.seed + self.epoch)
        return torch.randperm(len(self.labels), generator=generator).numpy()
