"""One of several batch augments for each batch, drawn alike on all ranks."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from mmpretrain.models.utils.batch_augments import RandomBatchAugment
from mmpretrain.registry import BATCH_AUGMENTS

from mmlt.functional.checks import check_number, refuse
from mmlt.registry import build_part

from .randomness import SeededDraws

__all__ = ['BatchAugmentChoice', 'takes_partners']

_STREAM = 31  # sets these draws apart from those of the augments


def takes_partners(augment: Callable[..., Any]) -> bool:
    """Whether an augment has ``mix(images, partner_images, ...)``, as MMPretrain's have not."""
    mix = getattr(augment, 'mix', None)
    return callable(mix) and 'partner_images' in inspect.signature(mix).parameters


class BatchAugmentChoice(SeededDraws):
    """MMPretrain's ``RandomBatchAugment``, but drawn by seed and iteration, alike on all ranks.

    Args:
        augments: batch augments or their configs, all for partners or all for single batches.
        probs: of each augment, at most 1 together; what is missing to 1 is no augment. ``None``:
            all alike. It chooses between augments; the share of batches with partners is that
            of ``PairBatchSampler``.

    Raises:
        OptionError: if an augment is neither a config nor callable, ``probs`` does not fit, or
            the two kinds of augments are put together.
    """

    def __init__(self, augments: Any, probs: float | Sequence[float] | None = None) -> None:
        super().__init__()
        if not isinstance(augments, (list, tuple)):
            augments = [augments]
        self.augments: list[Callable[..., Any]] = [_build(augment) for augment in augments]
        kinds = {takes_partners(augment) for augment in self.augments}
        if len(kinds) != 1:
            expected = 'at least one, and all for batches with partners or none of them'
            raise refuse(
                'augments', expected, [type(augment).__name__ for augment in self.augments]
            )
        self.paired = kinds.pop()
        self.probs = _complete_probs(probs, len(self.augments))

    @classmethod
    def adopt(cls, augments: Any) -> BatchAugmentChoice:
        """From what configs and MMPretrain's hooks put in place.

        Args:
            augments: a choice, MMPretrain's ``RandomBatchAugment``, or
                ``dict(augments=..., probs=...)`` as ``train_cfg`` of ``ImageClassifier`` is.

        Raises:
            OptionError: if it is none of these.
        """
        if isinstance(augments, cls):
            return augments
        if isinstance(augments, RandomBatchAugment):
            # It has completed the probabilities with that of no augment.
            given = [augment for augment in augments.augments if augment is not None]
            return cls(given, augments.probs and augments.probs[: len(given)])
        if isinstance(augments, dict) and {'augments'} <= set(augments) <= {'augments', 'probs'}:
            return cls(**augments)
        raise refuse('batch_augments', 'dict(augments=..., probs=...)', augments)

    def draw(self) -> Callable[..., Any] | None:
        """The augment of this iteration, or None; ``ValueError`` if that is unknown."""
        if self.probs is None and len(self.augments) == 1:
            return self.augments[0]
        rng = self.rng(_STREAM)
        if self.probs is None:
            return self.augments[int(rng.integers(len(self.augments)))]
        drawn = int(rng.choice(len(self.probs), p=self.probs))
        return self.augments[drawn] if drawn < len(self.augments) else None


def _build(augment: Any) -> Any:
    config = copy.deepcopy(augment) if isinstance(augment, dict) else augment
    return build_part(BATCH_AUGMENTS, 'augments', config, callable)


def _complete_probs(probs: float | Sequence[float] | None, num_augments: int) -> Any:
    """Probabilities with that of no augment at the end."""
    if probs is None:
        return None
    listed = probs if isinstance(probs, (list, tuple)) else [probs]
    given = np.array([check_number('probs', prob, '[0, 1]') for prob in listed])
    if len(given) != num_augments or given.sum() > 1 + 1e-9:
        raise refuse('probs', f'{num_augments} numbers, at most 1 together', probs)
    complete = np.append(given, max(0.0, 1 - given.sum()))
    return complete / complete.sum()
