"""Anchors in the usual order, and batch by batch a partner for each of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
from mmengine.logging import print_log
from mmpretrain.registry import DATA_SAMPLERS
from numpy.typing import ArrayLike
from torch.utils.data import BatchSampler

from mmlt.functional.checks import check_choice, check_flag, check_integer, check_number, refuse
from mmlt.functional.confusion.pairs import PairDistribution, pair_distribution
from mmlt.functional.sampling import class_sampling_probabilities, draw_classes, draw_images

from .epoch import EpochSampler, IntArray, Stream

__all__ = ['PairBatchSampler', 'PairSampler']

Pair = tuple[int, int | None]

# Names of powers; 'confusion' is class-balanced where no error is on record.
_POWERS = {'balanced': 0.0, 'inverse': -1.0, 'confusion': 0.0}


@DATA_SAMPLERS.register_module()
class PairSampler(EpochSampler):
    r"""Anchors for :class:`PairBatchSampler`, and the rule by which it draws their partners.

    The anchors are exactly the images of MMEngine's ``DefaultSampler`` with the same seed, and are
    all that iterating over this sampler yields. Partners come from the whole data set: first the
    class, by ``partners``, then an image of it uniformly.

    With ``partners='confusion'`` the classes follow the errors on the training images, which
    ``LongTailHook`` counts and hands over before each epoch. The sampler has no state of its own,
    so a resumed run draws the pairs of an uninterrupted one. For epoch-based training loops; see
    :class:`EpochSampler`.

    Args:
        dataset: the training data; MMEngine fills it in.
        partners: how the partner's class is drawn: ``'balanced'`` (all classes alike),
            ``'inverse'`` (:math:`p_k \propto 1 / n_k`), a number ``power`` for
            :math:`p_k \propto n_k^{power}` (1: uniform over images), or ``'confusion'``: from the
            classes that the anchor's class is confused with, in either direction. A class with no
            recorded error gets balanced partners.
        pairing: ``'anchor'`` keeps every anchor. ``'pairs'`` replaces a part of the entries of the
            mixed batches by pairs in which both classes are drawn by ``partners`` (for
            ``'confusion'``: the anchor's class is the true one, the partner's the predicted one).
        pair_fraction: expected share of the entries that ``pairing='pairs'`` replaces.
        start_epoch: first epoch, from 0, that draws by ``partners``; before, partners are balanced.
        normalize_confusion: divide the errors of a class by its counted images, since otherwise
            the head classes dominate.
        seed: the same on all ranks; ``None``: drawn and synchronised. MMEngine fills in the seed
            of the run.

    Raises:
        OptionError: if an option is out of range.

    Reference:
        ConCutMix (Pan et al., IEEE TIP 2024): instance-balanced background, balanced foreground.
        CP-Mix (Yoon et al., arXiv 2411.07621): pairs from the multiset of confusion pairs, here
        ``partners='confusion', pairing='pairs'``. ``pairing='anchor'``, the balanced partners of
        classes without errors, and the normalisation are this project's.

    Example:
        >>> sampler = dict(type='PairSampler', partners='balanced')
        >>> batch_sampler = dict(type='PairBatchSampler', prob=0.5)
    """

    def __init__(
        self,
        dataset: Any,
        partners: str | float = 'balanced',
        pairing: str = 'anchor',
        pair_fraction: float = 0.5,
        start_epoch: int = 0,
        normalize_confusion: bool = True,
        seed: int | None = None,
    ) -> None:
        super().__init__(dataset, seed)
        self.partners = partners
        self.pairing = check_choice('pairing', pairing, ('anchor', 'pairs'))
        self.pair_fraction = check_number('pair_fraction', pair_fraction, '[0, 1]')
        self.start_epoch = check_integer('start_epoch', start_epoch, '[0, inf)')
        self.normalize_confusion = check_flag('normalize_confusion', normalize_confusion)
        counts = self.pools.counts
        self._balanced = class_sampling_probabilities(counts, 0).numpy()
        self._by_power = class_sampling_probabilities(counts, _power(partners)).numpy()
        self._confusion: PairDistribution | None = None
        self._partners_of_class: PairDistribution | None = None

    @property
    def wants_confusion_counts(self) -> bool:
        """Whether :meth:`set_confusion_counts` has to be called before each epoch."""
        return self.partners == 'confusion'

    def set_confusion_counts(self, counts: Any) -> None:
        """Take the errors that the epochs to come draw by; ignored where none are wanted.

        Args:
            counts: ``confusion[true, predicted]``, ``(K, K)``, non-negative; array or CPU tensor,
                dense or sparse. Another shape, device or value raises an ``OptionError``.
        """
        if self.wants_confusion_counts:
            self._confusion = pair_distribution(counts, self.pools.counts, self.normalize_confusion)
            self._partners_of_class = self._confusion.symmetrised()

    def _images_of_epoch(self) -> IntArray:
        return self._shuffled()

    def pairs(self) -> tuple[IntArray, IntArray]:
        """Anchors and partners, ``(M,)`` each, for the mixed batches of all ranks in the epoch.

        Raises ``ValueError`` if confusion counts are missing after the first epoch that wants them.
        """
        anchors = self._shuffled()
        rng = self.generator(Stream.PARTNERS)
        if self.epoch < self.start_epoch:
            return anchors, self._draw_by(self._balanced, len(anchors), rng)
        self._check_counts()
        if self._partners_of_class is None:
            partners = self._draw_by(self._by_power, len(anchors), rng)
        else:
            classes = self._partners_of_class.draw_partners(
                self.labels[anchors], self._balanced, rng
            )
            partners = draw_images(self.pools, classes, rng)
        if self.pairing == 'pairs':
            self._replace_by_pairs_(anchors, partners)
        return anchors, partners

    def _replace_by_pairs_(self, anchors: IntArray, partners: IntArray) -> None:
        rng = self.generator(Stream.PAIRS)
        replaced = rng.random(len(anchors)) < self.pair_fraction
        size = int(replaced.sum())
        if self._confusion is None:
            first, second = draw_classes(self._by_power, 2 * size, rng).reshape(2, size)
        elif len(self._confusion):
            first, second = self._confusion.draw_pairs(size, rng)
        else:
            return
        anchors[replaced] = draw_images(self.pools, first, rng)
        partners[replaced] = draw_images(self.pools, second, rng)

    def _draw_by(self, probabilities: ArrayLike, size: int, rng: np.random.Generator) -> IntArray:
        return draw_images(self.pools, draw_classes(probabilities, size, rng), rng)

    def _check_counts(self) -> None:
        """In the first epoch there may be no counts yet; later it means that nobody counts."""
        if not self.wants_confusion_counts or self._confusion is not None:
            return
        if self.epoch > self.start_epoch:
            raise ValueError(
                f'PairSampler: expected confusion counts before epoch {self.epoch}, got none; '
                "add default_hooks = dict(long_tail=dict(type='LongTailHook')) or call "
                'set_confusion_counts'
            )
        print_log(
            'PairSampler: no confusion counts yet; the partners of this epoch are balanced.',
            logger='current',
            level=logging.INFO,
        )


def _power(partners: str | float) -> float:
    if isinstance(partners, str):
        return _POWERS[check_choice('partners', partners, list(_POWERS))]
    try:
        return check_number('partners', partners)
    except ValueError:
        expected = f'one of {", ".join(map(repr, _POWERS))} or a power'
        raise refuse('partners', expected, partners) from None


@DATA_SAMPLERS.register_module()
class PairBatchSampler(BatchSampler):
    """Draws the partners of a :class:`PairSampler`'s anchors in the batches that are mixed.

    Those batches hold ``(anchor, partner)`` for :class:`mmlt.datasets.PairedDataset`. The others
    hold ``(anchor, None)``: no partner is decoded in vain, and errors counted on them stand for the
    data as it is. Which batches are mixed follows from seed and epoch, the same on all ranks.

    Args:
        sampler, batch_size: a :class:`PairSampler` and the anchors per batch, from MMEngine.
        prob: share of the batches with partners, in ``[0, 1]``.
        drop_last: leave out a last batch that is not full.

    Raises:
        OptionError: if ``sampler`` is of another kind, or ``prob`` out of range.

    Example:
        >>> batch_sampler = dict(type='PairBatchSampler', prob=0.5)
    """

    def __init__(
        self, sampler: PairSampler, batch_size: int, prob: float = 1.0, drop_last: bool = False
    ) -> None:
        if not isinstance(sampler, PairSampler):
            raise refuse('sampler', "dict(type='PairSampler', ...)", type(sampler).__name__)
        check_integer('batch_size', batch_size, '[1, inf)')
        super().__init__(sampler, batch_size, check_flag('drop_last', drop_last))
        self.sampler: PairSampler = sampler
        self.prob = check_number('prob', prob, '[0, 1]')

    def mixed_batches(self) -> np.ndarray:
        """Which batches of the epoch are mixed, ``(B,)`` bool, with a last one that is dropped."""
        rng = self.sampler.generator(Stream.MIXED_BATCHES)
        num_batches = -(-len(self.sampler) // self.batch_size)
        return np.less(rng.random(num_batches), self.prob)

    def __iter__(self) -> Iterator[list[Pair]]:  # type: ignore[override]
        """Batches of pairs; unmixed ones without partners."""
        mixed = self.mixed_batches()
        unpaired: list[Pair] = [(anchor, None) for anchor in self.sampler]
        paired: list[Pair] = []
        if mixed.any():
            positions = self.sampler.positions()
            anchors, partners = (images[positions].tolist() for images in self.sampler.pairs())
            paired = list(zip(anchors, partners, strict=True))
        for start, is_mixed in zip(range(0, len(unpaired), self.batch_size), mixed, strict=True):
            stop = start + self.batch_size
            if self.drop_last and stop > len(unpaired):
                return
            yield (paired if is_mixed else unpaired)[start:stop]
