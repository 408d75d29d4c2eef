"""Base of all batch augments: draws by seed and iteration, and the training class counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_dist_info
from numpy.typing import NDArray
from torch import Tensor

from mmlt.functional.checks import refuse
from mmlt.functional.counts import validate_class_counts
from mmlt.functional.mixing import dominant_class_counts

__all__ = ['SeededBatchAugment', 'SeededDraws', 'check_batch', 'missing', 'to_device']

Array = NDArray[Any]


def missing(part: object, what: str) -> ValueError:
    """The error of a ``part`` that the hook has not told ``what`` it needs, to be raised."""
    return ValueError(
        f'{type(part).__name__}: expected {what}, got none; add '
        "default_hooks = dict(long_tail=dict(type='LongTailHook'))"
    )


class SeededDraws:
    """Generators of seed and iteration, which ``LongTailHook`` announces before each iteration.

    They are the same on all ranks and in a resumed run. There is no state to save.

    Example:
        >>> draws = SeededDraws()
        >>> draws.set_progress(epoch=0, max_epochs=1, iteration=5, seed=0)
        >>> draws.rng().random() == np.random.default_rng([0, 5]).random()
        True
    """

    def __init__(self) -> None:
        self._epoch, self._iteration, self._calls = 0, 0, 0
        self._seed: int | None = None

    def set_progress(self, epoch: int, max_epochs: int, iteration: int, seed: int) -> None:
        """Where the run is: epoch and iteration from 0, and the seed that all ranks share."""
        self._epoch, self._iteration, self._seed, self._calls = epoch, iteration, seed, 0

    def rewind(self) -> None:
        """Draw what was drawn in this iteration once more."""
        self._calls = 0

    @property
    def knows_progress(self) -> bool:
        """Whether seed and iteration are known."""
        return self._seed is not None

    def rng(self, stream: int | None = None) -> np.random.Generator:
        """The generator of this iteration.

        Args:
            stream: sets draws apart from those of other parts. ``None``: a second call within one
                iteration gives another generator than the first, so that draws do not repeat.

        Raises:
            ValueError: if seed and iteration are unknown.
        """
        if self._seed is None:
            raise missing(self, 'seed and iteration of the run')
        key = [self._seed, self._iteration]
        if stream is not None:
            key.append(stream)
        elif self._calls:
            key.append(self._calls)
        self._calls += stream is None
        return np.random.default_rng(key)


class SeededBatchAugment(SeededDraws):
    """Draws as :class:`SeededDraws`, and knows the training images per class."""

    def __init__(self) -> None:
        super().__init__()
        self.class_counts: Tensor | None = None

    def set_class_counts(self, counts: Sequence[int]) -> None:
        """Take the training images per class, ``(K,)``."""
        self.class_counts = validate_class_counts(counts)

    def draw_per_image(self, draw: Callable[[int], Array], size: int) -> Array:
        """``(size,)`` numbers for the images of this rank, every ``world_size``-th of all.

        Args:
            draw: ``draw(total)`` gives ``(total,)`` numbers for the batch of all ranks.
            size: images on this rank; the same on all.
        """
        rank, world_size = get_dist_info()
        return draw(size * world_size)[rank::world_size]

    def image_counts(self, scores: Tensor) -> Tensor:
        """Training images, at least 1, of each image's (dominant) class: ``(N, K)`` to ``(N,)``.

        Raises:
            ValueError: if the class counts are unknown or not ``K``.
        """
        if self.class_counts is None:
            raise missing(self, 'training images per class')
        if len(self.class_counts) != scores.shape[1]:
            expected = f'(N, {len(self.class_counts)}) for the classes of the training data'
            raise refuse('scores', expected, tuple(scores.shape))
        if self.class_counts.device != scores.device:
            self.class_counts = self.class_counts.to(scores.device)
        return dominant_class_counts(scores, self.class_counts)


def to_device(array: Array, like: Tensor) -> Tensor:
    """Numbers drawn on the CPU, on the device of ``like``; without waiting for it."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(like.device, non_blocking=True)


def check_batch(images: Tensor, scores: Tensor) -> Tensor:
    """Scores ``(N, K)`` in floating point, where MMPretrain makes one-hot integers.

    Raises:
        OptionError: if images ``(N, C, H, W)`` are not floating point, or a shape is wrong.
    """
    if images.ndim != 4 or not images.shape[0]:
        raise refuse('images', '(N, C, H, W) with N >= 1', tuple(images.shape))
    if not images.is_floating_point():
        raise refuse('images', 'floating point (normalised)', images.dtype)
    if scores.ndim != 2 or scores.shape[0] != images.shape[0]:
        expected = (
            f'one row (K,) for each of {images.shape[0]} images (integer labels become rows by '
            'data_preprocessor=dict(num_classes=...))'
        )
        raise refuse('scores', expected, tuple(scores.shape))
    return scores if scores.is_floating_point() else scores.float()
