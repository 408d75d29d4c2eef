"""Random draws of the data pipeline by position in the epoch, and epochs that begin in the middle.

Workers and ranks with random streams of their own draw other numbers when there are more or fewer
of them, and a stream cannot be entered in the middle without drawing all that came before. So
each image gets generators of its own: of seed, epoch, and its position in the epoch of all ranks.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_dist_info
from torch.utils.data import DataLoader, IterableDataset, Sampler, get_worker_info

from mmlt.datasets.in_memory import packs_indices
from mmlt.datasets.labels import leaves

__all__ = ['PositionedBatch', 'PositionedBatches', 'SeededItems', 'draw_by_position']


class PositionedBatch(list[Any]):
    """Indices of a batch, and where they stand.

    Args:
        indices: what the data set takes, one for each image.
        epoch: counted from 0.
        positions: one for each image, in the epoch of all ranks.
    """

    def __init__(self, indices: Iterable[Any], epoch: int, positions: Iterable[int]) -> None:
        super().__init__(indices)
        self.epoch, self.positions = epoch, list(positions)


class PositionedBatches(Sampler[list[Any]]):
    """The batches of a batch sampler, with positions, from any batch on.

    The ``i``-th image of rank ``r`` of ``W`` stands at ``i * W + r``, since samplers give a rank
    every ``W``-th image. What is skipped is not loaded.

    Args:
        batches: the batch sampler.
    """

    def __init__(self, batches: Any) -> None:
        self.batches = batches
        self.rank, self.world_size = get_dist_info()
        self.epoch = 0  # of the next pass
        self.start = 0  # first batch of the next pass; of later ones it is 0

    @property
    def sampler(self) -> Any:
        """Sampler of the batch sampler."""
        return self.batches.sampler

    @property
    def batch_size(self) -> int:
        """Images of a batch on this rank."""
        return int(self.batches.batch_size)

    @property
    def drop_last(self) -> bool:
        """Whether a last batch that is not full is left out."""
        return bool(self.batches.drop_last)

    def __len__(self) -> int:
        """Batches of a whole epoch, also of one that begins in the middle."""
        return len(self.batches)

    def __iter__(self) -> Iterator[list[Any]]:
        """The batches from ``start`` on."""
        epoch, start, self.start = self.epoch, self.start, 0
        self.epoch += 1  # loops without epochs begin again when the images are used up
        seen = 0
        for number, batch in enumerate(self.batches):
            if number >= start:
                images = range(seen, seen + len(batch))
                positions = (image * self.world_size + self.rank for image in images)
                yield PositionedBatch(batch, epoch, positions)
            seen += len(batch)


class SeededItems:
    """Loads a batch; each image with generators of seed, epoch and position.

    It seeds the global generators of python, numpy and torch, from which transforms draw, and in
    the process of the training itself puts them back.

    Args:
        dataset: a map-style data set.
        seed: of the run, the same on all ranks.
    """

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset, self.seed = dataset, seed
        self.draws = not all(getattr(leaf, 'draws_nothing', False) for leaf in leaves(dataset))

    def __call__(self, batch: list[Any]) -> list[Any]:
        """The items of a batch; as they come where it has no positions, or none draws."""
        draws = self.draws and not packs_indices(self.dataset)
        if not isinstance(batch, PositionedBatch) or not draws:
            return [self.dataset[index] for index in batch]
        if get_worker_info() is not None:
            return list(self._items(batch))
        states = generator_states()
        try:
            return list(self._items(batch))
        finally:
            set_generator_states(states)

    def _items(self, batch: PositionedBatch) -> Iterator[Any]:
        for index, position in zip(batch, batch.positions, strict=True):
            seed_generators(self.seed, batch.epoch, position)
            yield self.dataset[index]


def generator_states() -> tuple[Any, Any, torch.Tensor]:
    """Where the generators of the CPU stand, for :func:`set_generator_states`."""
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def set_generator_states(states: tuple[Any, Any, torch.Tensor]) -> None:
    """Put the generators of python, numpy and torch back to where they stood."""
    for_python, for_numpy, for_torch = states
    random.setstate(for_python)
    np.random.set_state(for_numpy)
    torch.set_rng_state(for_torch)


def seed_generators(*key: int) -> int:
    """Seed the generators of the CPU by non-negative integers.

    Returns:
        A seed for generators of other devices.
    """
    digest = blake2b(repr([int(number) for number in key]).encode(), digest_size=32).digest()
    for_python, for_numpy, for_torch, for_others = (
        int.from_bytes(digest[part : part + 8], 'little') for part in range(0, 32, 8)
    )
    random.seed(for_python)
    np.random.seed(for_numpy % 2**32)
    torch.default_generator.manual_seed(for_torch)
    return for_others


def draw_by_position(loader: DataLoader[Any], seed: int) -> None:
    """Let a data loader draw by position; loaders without batches of indices stay as they are.

    Args:
        loader: changed in place.
        seed: of the run, the same on all ranks.
    """
    if loader.batch_sampler is None or isinstance(loader.dataset, IterableDataset):
        return
    # torch asks the data set for whole batches where it has this method.
    loader.dataset.__getitems__ = SeededItems(loader.dataset, seed)  # type: ignore[attr-defined]
    if not isinstance(loader.batch_sampler, PositionedBatches):
        # A data loader guards its attributes, since they are checked together when it is made.
        object.__setattr__(loader, 'batch_sampler', PositionedBatches(loader.batch_sampler))
