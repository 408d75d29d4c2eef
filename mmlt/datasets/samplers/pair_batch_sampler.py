"""Batches of pairs, some of which are left unmixed and so need no partner."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from mmpretrain.registry import DATA_SAMPLERS
from torch.utils.data import BatchSampler

from .epoch_sampler import Stream
from .pair_sampler import PairSampler

__all__ = ['PairBatchSampler']

Pair = tuple[int, int | None]


@DATA_SAMPLERS.register_module()
class PairBatchSampler(BatchSampler):
    """Decides for each batch whether it is mixed.

    The others hold ``(anchor, None)``: nothing is decoded for nothing, and the anchors are those of
    ``DefaultSampler``, so that errors counted on them stand for the data as it is. Which batches
    these are follows from seed and epoch and is the same on all ranks.

    Args:
        sampler: a :class:`PairSampler`; MMEngine fills it in.
        batch_size: pairs a batch; MMEngine fills it in.
        prob: probability in ``[0, 1]`` that a batch is mixed.
        drop_last: leave out a last batch that is not full.

    Raises:
        TypeError: if ``sampler`` is of another kind.
        ValueError: if ``prob`` or ``batch_size`` is out of range.

    Example:
        >>> batch_sampler = dict(type='PairBatchSampler', prob=0.5)
    """

    def __init__(
        self, sampler: PairSampler, batch_size: int, prob: float = 1.0, drop_last: bool = False
    ) -> None:
        if not isinstance(sampler, PairSampler):
            raise TypeError(
                "sampler: PairBatchSampler needs sampler=dict(type='PairSampler', ...), got "
                f'{type(sampler).__name__}'
            )
        if not 0 <= prob <= 1:
            raise ValueError(f'prob: expected a number in [0, 1], got {prob}')
        super().__init__(sampler, batch_size, drop_last)
        self.sampler: PairSampler = sampler
        self.prob = prob

    def mixed_batches(self) -> np.ndarray:
        """Which batches of the sampler's epoch are mixed.

        Returns:
            ``(B,)`` bool for the ``B`` batches of an epoch; with ``round_up=False`` one rank's
            may be longer by its last.
        """
        rng = self.sampler.generator(Stream.MIXED_BATCHES)
        num_batches = -(-len(self.sampler) // self.batch_size)
        return np.less(rng.random(num_batches), self.prob)

    def __iter__(self) -> Iterator[list[Pair]]:  # type: ignore[override]
        """Batches of pairs; unmixed ones without partners."""
        first, within = divmod(self.sampler.pending_skip, self.batch_size)
        if within:
            raise ValueError(
                f'skip: expected whole batches of {self.batch_size}, got '
                f'{self.sampler.pending_skip} entries'
            )
        mixed = self.mixed_batches()[first:].tolist()
        anchors = self.sampler.ordinary_anchors()
        # Zipped in this order, a last batch that is dropped costs nothing.
        batches: Iterator[Any] = super().__iter__()
        for batch, is_mixed in zip(batches, mixed):  # noqa: B905
            ordinary = list(islice(anchors, len(batch)))
            yield batch if is_mixed else [(anchor, None) for anchor in ordinary]
