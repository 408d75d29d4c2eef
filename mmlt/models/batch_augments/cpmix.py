"""CP-Mix: mixup of confused classes with a label that knows the imbalance."""

from __future__ import annotations

import logging
from typing import Any

import torch
from mmengine.logging import print_log
from mmpretrain.registry import BATCH_AUGMENTS
from torch import Tensor

from mmlt.functional.confusion.pairs import (
    PairWeights,
    draw_columns,
    in_batch_partner_weights,
    pair_weights,
)
from mmlt.functional.mixing import LABEL_RULES, label_weight, mix_images, mix_scores

from .in_batch import InBatchMixin
from .paired import PairedBatchAugment
from .randomness import check_batch, check_positive, to_device

__all__ = ['CPMixBatchAugment']


@BATCH_AUGMENTS.register_module()
class CPMixBatchAugment(InBatchMixin, PairedBatchAugment):
    r"""Mixes each image with one of a class that it is confused with; one lambda an image.

    With a paired loader (``PairSampler(law='confusion')``, ``PairedDataset``,
    ``PairedDataPreprocessor``) partners come from the whole training set, as in the paper.

    In a stock MMPretrain config, ``train_cfg=dict(augments=dict(type='CPMixBatchAugment'))``, it
    pairs **within the batch** by the same law and says so in the log: the partner's class by the
    confusion of the anchor's class, in either direction, among the classes in the batch; a
    class without a recorded error there gets the class-balanced law. The counts come from
    :class:`mmlt.hooks.EMAConfusionHook`, the class counts from
    :class:`mmlt.hooks.ClassCountsHook`.

    Args:
        alpha: of :math:`\lambda \sim Beta(\alpha, \alpha)`.
        tau: of the label rule ``'prior'``; 0 is mixup, bit for bit.
        label_rule: ``'prior'`` (:func:`mmlt.functional.mixed_label_weight`), ``'linear'``
            (mixup) or ``'remix'``.
        kappa: of the label rule ``'remix'``.
        prob: share of the batches that are mixed within the batch; the confusion is counted on
            the others. With a paired loader it is ``PairBatchSampler``'s.
        start_epoch: first epoch that is mixed within the batch. With a paired loader it is
            ``PairSampler``'s.
        normalize_confusion: within the batch, divide the errors of a class by its counted
            images.
        across_ranks: see :class:`InBatchMixin`; of no effect with a paired loader, which is
            exact on any number of ranks.

    Raises:
        ValueError: if an option is out of range; when called, if the class counts are needed and
            unknown.

    Reference:
        Yoon et al., CP-Mix, arXiv 2411.07621. Confusion pairs and mixing follow the paper's
        description. The label rule, pairing by anchor and within the batch are this project's
        reading.

    Example:
        >>> train_cfg = dict(augments=dict(type='CPMixBatchAugment', alpha=1.0, tau=1.0))
    """

    law = 'confusion'

    def __init__(
        self,
        alpha: float = 1.0,
        tau: float = 1.0,
        label_rule: str = 'prior',
        kappa: float = 3.0,
        prob: float = 0.5,
        start_epoch: int = 0,
        normalize_confusion: bool = True,
        across_ranks: bool = False,
    ) -> None:
        super().__init__()
        self.init_in_batch(prob, across_ranks)
        self.alpha = check_positive('alpha', alpha)
        if label_rule not in LABEL_RULES:
            raise ValueError(
                f'label_rule: expected one of {", ".join(LABEL_RULES)}, got {label_rule!r}'
            )
        for name, value, least in (
            ('tau', tau, 0),
            ('kappa', kappa, 1),
            ('start_epoch', start_epoch, 0),
        ):
            if not value >= least:
                raise ValueError(f'{name}: expected at least {least}, got {value}')
        self.tau, self.label_rule, self.kappa = tau, label_rule, kappa
        self.start_epoch, self.normalize_confusion = start_epoch, normalize_confusion
        self._pairs: PairWeights | None = None
        self._announced = False

    def set_confusion_counts(self, counts: Any) -> None:
        """Take the law for pairing within the batch, for the epochs to come.

        Args:
            counts: ``confusion[true, predicted]``, ``(K, K)``, non-negative; array, dense or
                sparse tensor.

        Raises:
            ValueError: if its shape or values are wrong.
        """
        counts = counts if isinstance(counts, Tensor) else torch.as_tensor(counts)
        self._pairs = pair_weights(counts.detach(), self.normalize_confusion)

    def _mix(
        self, images: Tensor, partner_images: Tensor, scores: Tensor, partner_scores: Tensor
    ) -> tuple[Tensor, Tensor]:
        return self._blend(self.rng(), images, partner_images, scores, partner_scores)

    def __call__(self, images: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Mix a batch within itself; no argument is changed.

        Args:
            images: ``(N, C, H, W)``, normalised.
            scores: ``(N, K)``, one-hot or soft.

        Returns:
            Images ``(N, C, H, W)`` and scores ``(N, K)``.

        Raises:
            TypeError, ValueError: if images or scores are of another form, or the counts of the
                confusion belong to another number of classes.
        """
        scores = check_batch(images, scores)
        self._announce()
        rng = self.rng()
        if rng.random() >= self.prob or self._epoch < self.start_epoch:
            return images, scores
        uniform = self.draw_per_image(rng, len(images), lambda rng, total: rng.random(total))
        images_of_all, scores_of_all = self.candidates(images, scores)
        weights = in_batch_partner_weights(
            self._pairs_for(scores), scores.argmax(dim=1), scores_of_all.argmax(dim=1)
        )
        partners = draw_columns(weights, to_device(uniform, images))
        return self._blend(rng, images, images_of_all[partners], scores, scores_of_all[partners])

    def _blend(
        self,
        rng: Any,
        images: Tensor,
        partner_images: Tensor,
        scores: Tensor,
        partner_scores: Tensor,
    ) -> tuple[Tensor, Tensor]:
        drawn = self.draw_per_image(
            rng, len(images), lambda rng, total: rng.beta(self.alpha, self.alpha, total)
        )
        lam = weight = to_device(drawn, images)
        if self.label_rule != 'linear' and (self.label_rule != 'prior' or self.tau):
            weight = label_weight(
                self.label_rule,
                lam,
                self.image_counts(scores),
                self.image_counts(partner_scores),
                self.tau,
                self.kappa,
            )
        return (mix_images(images, partner_images, lam), mix_scores(scores, partner_scores, weight))

    def _pairs_for(self, scores: Tensor) -> PairWeights:
        num_classes = scores.shape[1]
        if self._pairs is None:
            self._pairs = pair_weights(
                torch.zeros(num_classes, num_classes, layout=torch.sparse_coo, device=scores.device)
            )
        if self._pairs.num_classes != num_classes:
            raise ValueError(
                f'CPMixBatchAugment: the confusion counts have {self._pairs.num_classes} classes, '
                f'the scores {num_classes}'
            )
        if self._pairs.keys.device != scores.device:
            self._pairs = self._pairs.to(scores.device)
        return self._pairs

    def _announce(self) -> None:
        """Say once that pairs come from the batch."""
        if not self._announced:
            self._announced = True
            print_log(
                'CPMixBatchAugment: no paired loader, so partners are drawn within the batch, by '
                "the confusion law among its classes. PairSampler(law='confusion') with "
                'PairedDataset and PairedDataPreprocessor draws them from the whole training set.',
                logger='current',
                level=logging.INFO,
            )
            if self._pairs is None:
                print_log(
                    'CPMixBatchAugment: nobody brings confusion counts, so partners are '
                    "class-balanced. Add custom_hooks=[dict(type='EMAConfusionHook')].",
                    logger='current',
                    level=logging.WARNING,
                )
