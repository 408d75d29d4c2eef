"""Anchors in the ordinary order, each with a partner whose class follows a law."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice, repeat
from typing import Any

import numpy as np
from mmengine.logging import print_log
from mmpretrain.registry import DATA_SAMPLERS
from torch.utils.data import BatchSampler

from mmlt.functional.confusion.pairs import (
    ConfusionLaw,
    confusion_law,
    draw_confusion_pairs,
    draw_partner_classes,
)
from mmlt.functional.sampling import class_sampling_probabilities, draw_classes, draw_images

from .epoch import EpochSampler, IntArray, Stream

__all__ = ['PairBatchSampler', 'PairSampler']

_POWERS = {'uniform': 1.0, 'balanced': 0.0, 'inverse': -1.0}


@DATA_SAMPLERS.register_module()
class PairSampler(EpochSampler):
    r"""Yields ``(anchor, partner)`` index pairs for :class:`mmlt.datasets.PairedDataset`.

    The anchors are exactly those of MMEngine's ``DefaultSampler`` with the same seed. The partner
    is drawn from the whole data set: its class by the law, then an image of it uniformly. With
    :class:`PairBatchSampler` some batches get ``(anchor, None)``.

    The confusion law needs counts of training errors, which ``EMAConfusionHook`` hands over
    before each epoch (:meth:`set_confusion_counts`) from a module in the checkpoint. The sampler
    has no state of its own, so a resumed run draws the pairs of an uninterrupted one. For
    epoch-based training loops; see :class:`EpochSampler`.

    Args:
        dataset: the training data; MMEngine fills it in.
        law: of the partner's class. ``'balanced'``, ``'inverse'``, ``'uniform'`` (over images), a
            number ``power`` for :math:`p_k \propto n_k^{power}`, or ``'confusion'``: the classes
            that the anchor's class is confused with, in either direction. Classes with no
            recorded error fall back to ``'balanced'``.
        pairing: ``'anchor'``, or ``'pairs'``: a fraction of the entries is replaced by pairs of
            which the law gives both classes (for ``'confusion'`` the anchor's class is the true
            one, the partner's the predicted one). The other entries are as with ``'anchor'``.
        pair_fraction: of the entries, in expectation, that ``pairing='pairs'`` replaces. Batches
            that :class:`PairBatchSampler` leaves unmixed, on which the confusion is counted, keep
            the ordinary anchors.
        start_epoch: first epoch of the law.
        law_before_start: ``'balanced'``, or ``'none'``: anchors without partner.
        normalize_confusion: divide the errors of a class by its counted images, so that the head
            classes do not own the law.
        seed: the same on all ranks; ``None``: drawn and synchronised. MMEngine fills in that of the
            run; where that is drawn too, ``EpochSeedHook`` restores it on resume.
        round_up: repeat the first entries so that all ranks get equally many.

    Raises:
        ValueError: if an option is out of range.

    Reference:
        ConCutMix (Pan et al., IEEE TIP 2024): instance-balanced background, balanced foreground.
        CP-Mix (Yoon et al., arXiv 2411.07621): pairs from the multiset of confusion pairs, here
        ``pairing='pairs'``; ``pairing='anchor'``, the fallback and the normalisation are this
        project's reading.

    Example:
        >>> sampler = dict(type='PairSampler', law='balanced')
        >>> batch_sampler = dict(type='PairBatchSampler', prob=0.5)
    """

    def __init__(
        self,
        dataset: Any,
        law: str | float = 'balanced',
        pairing: str = 'anchor',
        pair_fraction: float = 0.5,
        start_epoch: int = 0,
        law_before_start: str = 'balanced',
        normalize_confusion: bool = True,
        seed: int | None = None,
        round_up: bool = True,
    ) -> None:
        super().__init__(dataset, seed, round_up)
        _check_choice('pairing', pairing, ('anchor', 'pairs'))
        _check_choice('law_before_start', law_before_start, ('balanced', 'none'))
        if isinstance(law, str):
            _check_choice('law', law, (*_POWERS, 'confusion'))
        elif not isinstance(law, (int, float)):
            raise ValueError(f'law: expected a name or a number, got {law!r}')
        if not isinstance(start_epoch, int) or start_epoch < 0:
            raise ValueError(f'start_epoch: expected an epoch from 0 on, got {start_epoch!r}')
        if not 0 <= pair_fraction <= 1:
            raise ValueError(f'pair_fraction: expected a number in [0, 1], got {pair_fraction}')
        self.law = law
        self.pairing = pairing
        self.pair_fraction = pair_fraction if pairing == 'pairs' else 0.0
        self.start_epoch = start_epoch
        self.law_before_start = law_before_start
        self.normalize_confusion = normalize_confusion
        self._balanced = class_sampling_probabilities(self.pools.counts, 0).numpy()
        # Until counts arrive the confusion law stands on its fallback.
        power = _POWERS.get(law, 0.0) if isinstance(law, str) else law
        self._class_law = class_sampling_probabilities(self.pools.counts, power).numpy()
        self._confusion: ConfusionLaw | None = None
        self._confusion_of_anchor: ConfusionLaw | None = None

    def set_confusion_counts(self, counts: Any) -> None:
        """Take the law for the epochs to come; ignored unless ``law='confusion'``.

        Args:
            counts: ``confusion[true, predicted]``, ``(K, K)``, non-negative; array or CPU tensor,
                dense or sparse. Nothing of its size is kept.

        Raises:
            TypeError: if ``counts`` lies on another device than the CPU.
            ValueError: if its shape or values are wrong.
        """
        if self.law != 'confusion':
            return
        self._confusion = confusion_law(counts, self.pools.counts, self.normalize_confusion)
        self._confusion_of_anchor = self._confusion.symmetrised()

    @property
    def has_partners(self) -> bool:
        """Whether the entries of this epoch have partners."""
        return self.epoch >= self.start_epoch or self.law_before_start != 'none'

    def ordinary_anchors(self) -> Iterator[int]:
        """This rank's images of the epoch as ``DefaultSampler`` has them, none replaced."""
        return iter(self._shuffled()[self._positions()].tolist())

    def _epoch_entries(self, positions: IntArray) -> Iterator[tuple[int, int | None]]:
        anchors = self._shuffled()
        if not self.has_partners:
            return zip(anchors[positions].tolist(), repeat(None))
        rng = self.generator(Stream.PARTNERS)
        if self.epoch < self.start_epoch:
            partners = self._images_by(self._balanced, len(anchors), rng)
        else:
            partners = self._partners_of(anchors, rng)
            anchors, partners = self._replace_by_pairs(anchors, partners)
        return zip(anchors[positions].tolist(), partners[positions].tolist(), strict=True)

    def _partners_of(self, anchors: IntArray, rng: np.random.Generator) -> IntArray:
        self._check_counts()
        if self._confusion_of_anchor is None:
            return self._images_by(self._class_law, len(anchors), rng)
        classes = draw_partner_classes(
            self._confusion_of_anchor, self.labels[anchors], self._balanced, rng
        )
        return draw_images(self.pools, classes, rng)

    def _replace_by_pairs(self, anchors: IntArray, partners: IntArray) -> tuple[IntArray, IntArray]:
        """The entries, some of them exchanged for pairs of which the law gives both classes."""
        rng = self.generator(Stream.PAIRS)
        replaced = rng.random(len(anchors)) < self.pair_fraction
        size = int(replaced.sum())
        if self._confusion is not None and not len(self._confusion.true):
            return anchors, partners
        if self._confusion is None:
            pairs = draw_classes(self._class_law, 2 * size, rng).reshape(2, size)
        else:
            pairs = np.stack(draw_confusion_pairs(self._confusion, size, rng))
        anchors, partners = anchors.copy(), partners.copy()
        anchors[replaced] = draw_images(self.pools, pairs[0], rng)
        partners[replaced] = draw_images(self.pools, pairs[1], rng)
        return anchors, partners

    def _images_by(self, law: Any, size: int, rng: np.random.Generator) -> IntArray:
        return draw_images(self.pools, draw_classes(law, size, rng), rng)

    def _check_counts(self) -> None:
        """In its first epoch the law may have no counts yet; after that, nobody brings any."""
        if self.law != 'confusion' or self._confusion is not None:
            return
        if self.epoch > self.start_epoch:
            raise ValueError(
                f"PairSampler: law='confusion' has no counts in epoch {self.epoch}. "
                "custom_hooks=[dict(type='EMAConfusionHook')] hands them over before each epoch "
                'of an EpochBasedTrainLoop; elsewhere call set_confusion_counts'
            )
        print_log(
            "PairSampler: law='confusion' has no counts yet; this epoch is class-balanced.",
            logger='current',
            level=logging.INFO,
        )


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f'{name}: expected one of {", ".join(choices)}, got {value!r}')


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
