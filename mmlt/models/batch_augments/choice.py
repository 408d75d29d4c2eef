"""One of several batch augments for each batch, drawn alike on all ranks."""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from mmengine.dist import sync_random_seed
from mmengine.logging import print_log
from mmpretrain.models.utils.batch_augments import RandomBatchAugment
from mmpretrain.registry import BATCH_AUGMENTS

__all__ = ['BatchAugmentChoice', 'takes_partners']

_STREAM = 31  # sets these draws apart from those of the augments


def takes_partners(augment: Callable[..., Any]) -> bool:
    """Whether a batch augment mixes anchors with given partners, not within the batch.

    Args:
        augment: for example a ``PairedBatchAugment``, or MMPretrain's ``Mixup``.

    Returns:
        Whether it has ``mix(images, partner_images, scores, partner_scores)``.

    Example:
        >>> takes_partners(print)
        False
    """
    mix = getattr(augment, 'mix', None)
    return callable(mix) and 'partner_images' in inspect.signature(mix).parameters


class BatchAugmentChoice:
    """MMPretrain's ``RandomBatchAugment`` without its global generator and without side effects.

    Args:
        augments: batch augments or their configs, all for partners or all for single batches.
        probs: of each, at most 1 together; what is missing to 1 is no augment. ``None``: evenly.

    Raises:
        TypeError: if an augment is neither a config nor callable.
        ValueError: if ``probs`` does not fit, or the two kinds of augments are put together.

    Example:
        >>> choice = BatchAugmentChoice(dict(type='Mixup', alpha=0.2))
        >>> choice.paired, choice.draw() is choice.augments[0]
        (False, True)
    """

    def __init__(self, augments: Any, probs: float | Sequence[float] | None = None) -> None:
        if not isinstance(augments, (list, tuple)):
            augments = [augments]
        self.augments: list[Callable[..., Any]] = [_build(augment) for augment in augments]
        kinds = {takes_partners(augment) for augment in self.augments}
        if len(kinds) != 1:
            names = ', '.join(type(augment).__name__ for augment in self.augments)
            raise ValueError(
                'augments: expected at least one, and all for batches with partners or none, got '
                f'{names or "none"}'
            )
        self.paired = kinds.pop()
        self.probs = _complete_probs(probs, len(self.augments))
        self._iteration = -1
        self._seed: int | None = None
        self._counts_itself = True

    @classmethod
    def from_config(cls, config: Any) -> BatchAugmentChoice:
        """From ``dict(augments=..., probs=...)``, as ``train_cfg`` of ``ImageClassifier`` is.

        Args:
            config: left as it is.

        Raises:
            TypeError: if it is no such dict.
        """
        if not isinstance(config, dict) or not {'augments'} <= set(config) <= {'augments', 'probs'}:
            raise TypeError(
                f'batch_augments: expected dict(augments=..., probs=...), got {config!r}'
            )
        return cls(**config)

    @classmethod
    def adopt(cls, augments: Any) -> BatchAugmentChoice:
        """From what configs and MMPretrain's hooks put in place.

        Args:
            augments: a choice, MMPretrain's ``RandomBatchAugment``, or a config as
                :meth:`from_config` takes it.

        Raises:
            TypeError: if it is none of these.
        """
        if isinstance(augments, cls):
            return augments
        if isinstance(augments, RandomBatchAugment):
            # It has completed the probabilities with that of no augment.
            given = [augment for augment in augments.augments if augment is not None]
            return cls(given, augments.probs and augments.probs[: len(given)])
        return cls.from_config(augments)

    def set_progress(self, iteration: int, seed: int) -> None:
        """Where the run is: which draw :meth:`draw` is to make.

        Args:
            iteration: from 0.
            seed: of the run.
        """
        self._iteration, self._seed = iteration, seed
        self._counts_itself = False

    def draw(self) -> Callable[..., Any] | None:
        """The augment of this batch.

        Returns:
            One of ``augments``, or ``None`` for no augment.
        """
        if self.probs is None and len(self.augments) == 1:
            return self.augments[0]
        if self._counts_itself:
            self._count()
        rng = np.random.default_rng([self._seed or 0, self._iteration, _STREAM])
        if self.probs is None:
            return self.augments[int(rng.integers(len(self.augments)))]
        drawn = int(rng.choice(len(self.probs), p=self.probs))
        return self.augments[drawn] if drawn < len(self.augments) else None

    def _count(self) -> None:
        """Stand in for ``TrainingProgressHook``."""
        if self._seed is None:
            self._seed = sync_random_seed()
            print_log(
                "BatchAugmentChoice: without custom_hooks=[dict(type='TrainingProgressHook')] a "
                'resumed run draws other augments than an uninterrupted one.',
                logger='current',
                level=logging.WARNING,
            )
        self._iteration += 1


def _build(augment: Any) -> Any:
    if isinstance(augment, dict):
        return BATCH_AUGMENTS.build(copy.deepcopy(augment))
    if not callable(augment):
        raise TypeError(f'augments: expected configs or callables, got {type(augment).__name__}')
    return augment


def _complete_probs(probs: float | Sequence[float] | None, num_augments: int) -> Any:
    """Probabilities with that of no augment at the end."""
    if probs is None:
        return None
    given = np.atleast_1d(np.asarray(probs, dtype=np.float64))
    if given.shape != (num_augments,) or (given < 0).any() or given.sum() > 1 + 1e-9:
        raise ValueError(
            f'probs: expected {num_augments} numbers of at least 0, at most 1 together, got {probs}'
        )
    complete = np.append(given, max(0.0, 1 - given.sum()))
    return complete / complete.sum()
