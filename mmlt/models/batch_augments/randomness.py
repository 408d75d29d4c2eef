"""Base of all batch augments: randomness by seed and iteration, and the class counts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.logging import print_log
from numpy.typing import NDArray
from torch import Tensor

from mmlt.functional.counts import validate_class_counts
from mmlt.functional.mixing import dominant_class_counts

__all__ = ['SeededBatchAugment', 'check_batch', 'check_positive', 'to_device']

Array = NDArray[Any]
Draw = Callable[[np.random.Generator, int], Array]


class SeededBatchAugment:
    """Draws from seed and iteration, alike on all ranks, and receives the class counts.

    A batch augment is no module and has no state: a resumed run, or one on more ranks, draws what
    an uninterrupted one on one rank draws. :class:`mmlt.hooks.TrainingProgressHook` announces
    the iteration. Without it the augment counts its calls from 0, and says once that a resumed
    run will then draw other numbers.

    Example:
        >>> augment = SeededBatchAugment()
        >>> augment.set_progress(epoch=0, max_epochs=1, iteration=5, seed=0)
        >>> augment.rng().random() == np.random.default_rng([0, 5]).random()
        True
    """

    def __init__(self) -> None:
        self.class_counts: Tensor | None = None
        self._epoch, self._iteration, self._calls = 0, -1, 0
        self._seed: int | None = None
        self._counts_itself = True

    def set_class_counts(self, counts: Sequence[int]) -> None:
        """Take the training images per class.

        Args:
            counts: ``(K,)``.
        """
        self.class_counts = validate_class_counts(counts)

    def set_progress(self, epoch: int, max_epochs: int, iteration: int, seed: int) -> None:
        """Where the run is.

        Args:
            epoch: from 0.
            max_epochs: of the run.
            iteration: from 0, over the whole run.
            seed: of the run, the same on all ranks.
        """
        self._epoch, self._iteration, self._seed = epoch, iteration, seed
        self._calls, self._counts_itself = 0, False

    def rng(self) -> np.random.Generator:
        """The generator of this batch; the same on all ranks."""
        if self._counts_itself:
            self._count()
        # A second batch within one iteration must not repeat the draws of the first.
        again = [self._calls] if self._calls else []
        self._calls += 1
        return np.random.default_rng([self._seed or 0, self._iteration, *again])

    def _count(self) -> None:
        if self._seed is None:
            self._seed = sync_random_seed()
            print_log(
                f"{type(self).__name__}: without custom_hooks=[dict(type='TrainingProgressHook')] "
                'a resumed run draws other numbers than an uninterrupted one.',
                logger='current',
                level=logging.WARNING,
            )
        self._iteration += 1
        self._calls = 0

    def draw_per_image(self, rng: np.random.Generator, size: int, draw: Draw) -> Array:
        """One number for each image of this rank.

        Args:
            rng: of this batch.
            size: images on this rank; the same on all.
            draw: ``draw(rng, total)`` gives ``(total,)`` numbers for the batch of all ranks.

        Returns:
            ``(size,)``: those of this rank, which has every ``world_size``-th image.
        """
        rank, world_size = get_dist_info()
        return draw(rng, size * world_size)[rank::world_size]

    def image_counts(self, scores: Tensor) -> Tensor:
        """Training images of each image's (dominant) class.

        Args:
            scores: ``(N, K)``.

        Returns:
            ``(N,)`` float64.

        Raises:
            ValueError: if the class counts are unknown or not ``K``.
        """
        return dominant_class_counts(scores, self.require_class_counts(scores))

    def require_class_counts(self, scores: Tensor) -> Tensor:
        """The class counts ``(K,)`` on the device of ``scores``, or an error that helps."""
        name = type(self).__name__
        if self.class_counts is None:
            raise ValueError(
                f"{name}: the class counts are unknown. Add dict(type='ClassCountsHook') to "
                'custom_hooks, or call set_class_counts'
            )
        if len(self.class_counts) != scores.shape[1]:
            raise ValueError(
                f'{name}: the scores have {scores.shape[1]} classes, the training '
                f'data {len(self.class_counts)}; set num_classes of the preprocessor'
            )
        if self.class_counts.device != scores.device:
            self.class_counts = self.class_counts.to(scores.device)
        return self.class_counts


def to_device(array: Array, like: Tensor) -> Tensor:
    """Numbers drawn on the host, on the device of ``like``; without waiting for it."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(like.device, non_blocking=True)


def check_batch(images: Tensor, scores: Tensor) -> Tensor:
    """Check a batch and give its scores as floating-point numbers.

    Args:
        images: ``(N, C, H, W)``.
        scores: ``(N, K)``; one-hot integers, as MMPretrain makes them, become float32.

    Returns:
        ``(N, K)`` floating point; ``scores`` itself if it is that already.

    Raises:
        TypeError: if the images are not floating point.
        ValueError: if a shape is wrong.
    """
    if images.ndim != 4 or not images.shape[0]:
        raise ValueError(f'images: expected (N, C, H, W) with N >= 1, got {tuple(images.shape)}')
    if not images.is_floating_point():
        raise TypeError(f'images: expected floating point (normalised), got {images.dtype}')
    if scores.ndim != 2 or scores.shape[0] != images.shape[0]:
        raise ValueError(
            f'scores: expected one row (K,) for each of {images.shape[0]} images, got shape '
            f'{tuple(scores.shape)}; integer labels become rows by '
            'data_preprocessor=dict(num_classes=...)'
        )
    return scores if scores.is_floating_point() else scores.float()


def check_positive(name: str, value: float) -> float:
    """The value as a float, or a ``ValueError`` that names it."""
    if not value > 0 or value == float('inf'):
        raise ValueError(f'{name}: expected a positive number, got {value}')
    return float(value)
