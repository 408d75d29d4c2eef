"""CP-Mix: mixup of confused classes with a label that knows the imbalance."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from mmengine.logging import print_log
from mmpretrain.registry import BATCH_AUGMENTS
from torch import Tensor

from mmlt.functional.checks import check_choice, check_flag, check_integer, check_number, refuse
from mmlt.functional.confusion.pairs import PairDistribution, draw_columns, pair_distribution
from mmlt.functional.mixing import LABEL_RULES, label_weight, mixup, moves_label

from .paired import PairedBatchAugment
from .randomness import check_batch, missing, to_device

__all__ = ['CPMixBatchAugment']


@BATCH_AUGMENTS.register_module()
class CPMixBatchAugment(PairedBatchAugment):
    r"""Mixes each image with one of a class that it is confused with; one lambda per image.

    With a paired loader (``PairSampler(partners='confusion', pairing='pairs')``,
    ``PairBatchSampler``, ``PairedDataset``, ``PairedDataPreprocessor``) partners come from the
    whole training set, as in the paper.

    In a stock MMPretrain config, ``train_cfg=dict(augments=[dict(type='CPMixBatchAugment')])``, it
    pairs **within the batch** of each rank and logs so once. The partner's class then follows the
    confusion of the anchor's class, in either direction, with the classes in the batch. A class
    without a recorded error among them gets class-balanced partners.

    Args:
        alpha: of :math:`\lambda \sim Beta(\alpha, \alpha)`, positive.
        tau: of the label rule ``'prior'``, at least 0; 0 is mixup, bit for bit.
        label_rule: ``'prior'`` (:func:`mmlt.functional.mixed_label_weight`), ``'linear'``
            (mixup) or ``'remix'``.
        kappa: of the label rule ``'remix'``, at least 1.
        prob: share of the batches that are mixed within the batch; the confusion is counted on
            the others. With a paired loader, ``PairBatchSampler`` decides.
        start_epoch: first epoch, from 0, that is mixed within the batch. With a paired loader it is
            ``PairSampler``'s.
        normalize_confusion: within the batch, divide the errors of a class by its counted
            images. With a paired loader it is ``PairSampler``'s.

    Raises:
        OptionError: if an option is out of range.

    Reference:
        Yoon et al., CP-Mix, arXiv 2411.07621. Confusion pairs and mixing follow the paper's
        description. The label rule and pairing within the batch are this project's reading.

    Example:
        >>> train_cfg = dict(augments=[dict(type='CPMixBatchAugment', alpha=1.0, tau=1.0)])
    """

    mixes_within_batch = True

    #: :meth:`set_confusion_counts` has to be called before each epoch, unless partners are loaded.
    wants_confusion_counts = True

    def __init__(
        self,
        alpha: float = 1.0,
        tau: float = 1.0,
        label_rule: str = 'prior',
        kappa: float = 3.0,
        prob: float = 0.5,
        start_epoch: int = 0,
        normalize_confusion: bool = True,
    ) -> None:
        super().__init__()
        self.alpha = check_number('alpha', alpha, '(0, inf)')
        self.tau = check_number('tau', tau, '[0, inf)')
        self.label_rule = check_choice('label_rule', label_rule, LABEL_RULES)
        self.kappa = check_number('kappa', kappa, '[1, inf)')
        self.prob = check_number('prob', prob, '[0, 1]')
        self.start_epoch = check_integer('start_epoch', start_epoch, '[0, inf)')
        self.normalize_confusion = check_flag('normalize_confusion', normalize_confusion)
        self._confusion: PairDistribution | None = None
        self._announced = False

    def set_confusion_counts(self, counts: Any) -> None:
        """Take the errors by which the epochs to come pair within the batch.

        Args:
            counts: ``confusion[true, predicted]``, ``(K, K)``, non-negative; array or CPU tensor,
                dense or sparse.

        Raises:
            OptionError: if its shape or values are wrong.
        """
        pairs = pair_distribution(counts, normalize=self.normalize_confusion)
        self._confusion = pairs.symmetrised()

    def __call__(self, images: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Mix a batch within itself; no argument is changed.

        Args:
            images: ``(N, C, H, W)``, normalised.
            scores: ``(N, K)``, one-hot or soft.

        Returns:
            Images ``(N, C, H, W)`` and scores ``(N, K)``.

        Raises:
            OptionError: if images or scores are of another form, or the confusion counts belong to
                another number of classes.
            ValueError: if seed and iteration are unknown, or counts are needed and missing.
        """
        scores = check_batch(images, scores)
        rng = self.rng()
        self._announce()
        if rng.random() >= self.prob or self._epoch < self.start_epoch:
            return images, scores
        uniform = self.draw_per_image(rng.random, len(images))
        classes = scores.argmax(dim=1)
        weights = self._pairs_for(scores.shape[1]).partner_weights(classes, classes)
        partners = draw_columns(weights, to_device(uniform, images))
        return self._mix(images, images[partners], scores, scores[partners], rng)

    def _mix(
        self,
        images: Tensor,
        partner_images: Tensor,
        scores: Tensor,
        partner_scores: Tensor,
        rng: np.random.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        rng = rng or self.rng()
        drawn = self.draw_per_image(
            lambda total: rng.beta(self.alpha, self.alpha, total), len(images)
        )
        lam = weight = to_device(drawn, images)
        if moves_label(self.label_rule, self.tau):
            weight = label_weight(
                self.label_rule,
                lam,
                self.image_counts(scores),
                self.image_counts(partner_scores),
                self.tau,
                self.kappa,
            )
        return mixup(images, partner_images, lam), mixup(scores, partner_scores, weight)

    def _pairs_for(self, num_classes: int) -> PairDistribution:
        """The confusion to pair by; in its first epoch there may be none yet."""
        if self._confusion is None:
            if self._epoch > self.start_epoch:
                raise missing(self, f'confusion counts before epoch {self._epoch}')
            none = np.zeros(0, dtype=np.int64)
            return PairDistribution(none, none, np.zeros(0), num_classes)
        if self._confusion.num_classes != num_classes:
            raise refuse(
                'scores', f'(N, {self._confusion.num_classes}) as counted', f'(N, {num_classes})'
            )
        return self._confusion

    def _announce(self) -> None:
        if not self._announced:
            self._announced = True
            print_log(
                'CPMixBatchAugment: no paired loader, so partners are drawn within the batch. '
                "PairSampler(partners='confusion') with PairBatchSampler, PairedDataset and "
                'PairedDataPreprocessor draws them from the whole training set.',
                logger='current',
                level=logging.INFO,
            )
