"""Remix: mixup whose label goes to the rarer class."""

from __future__ import annotations

import numpy as np
from mmpretrain.registry import BATCH_AUGMENTS
from torch import Tensor

from mmlt.functional.mixing import mix_images, mix_scores, remix_label_weight

from .in_batch import InBatchMixin
from .randomness import Array, SeededBatchAugment, check_batch, check_positive, to_device

__all__ = ['RemixBatchAugment']


@BATCH_AUGMENTS.register_module()
class RemixBatchAugment(InBatchMixin, SeededBatchAugment):
    r"""Mixup within the batch, with the whole label to a class that is ``kappa`` times rarer.

    A stock MMPretrain config takes it: ``train_cfg=dict(augments=dict(type='RemixBatchAugment',
    alpha=1.0))``, with :class:`mmlt.hooks.ClassCountsHook`. One
    :math:`\lambda` and one permutation hold for a batch.

    Args:
        alpha: of :math:`\lambda \sim Beta(\alpha, \alpha)`.
        kappa: imbalance between two classes from which on the rule acts, at least 1.
        tau: the rarer class must have more than ``1 - tau`` of the pixels, in ``[0, 1]``.
        prob: share of the batches that are mixed.
        across_ranks: see :class:`InBatchMixin`.

    Raises:
        ValueError: if an option is out of range; when called, if the class counts are unknown.

    Reference:
        Chou et al., Remix: Rebalanced Mixup, ECCV workshops 2020.

    Example:
        >>> train_cfg = dict(augments=dict(type='RemixBatchAugment', alpha=1.0))
    """

    def __init__(
        self,
        alpha: float = 1.0,
        kappa: float = 3.0,
        tau: float = 0.5,
        prob: float = 1.0,
        across_ranks: bool = False,
    ) -> None:
        super().__init__()
        self.init_in_batch(prob, across_ranks)
        self.alpha = check_positive('alpha', alpha)
        if kappa < 1 or not 0 <= tau <= 1:
            raise ValueError(
                f'kappa, tau: expected kappa >= 1 and tau in [0, 1], got {kappa} and {tau}'
            )
        self.kappa, self.tau = kappa, tau

    def __call__(self, images: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Mix a batch with itself, permuted; no argument is changed.

        Args:
            images: ``(N, C, H, W)``, normalised.
            scores: ``(N, K)``, one-hot or soft.

        Returns:
            Images ``(N, C, H, W)`` and scores ``(N, K)``.

        Raises:
            TypeError, ValueError: if images or scores are of another form.
        """
        scores = check_batch(images, scores)
        self.require_class_counts(scores)
        rng = self.rng()
        if rng.random() >= self.prob:
            return images, scores
        drawn = np.full(len(images), rng.beta(self.alpha, self.alpha))
        images_of_all, scores_of_all = self.candidates(images, scores)
        order = to_device(self._permutation(rng, len(images), len(images_of_all)), images)
        partner_images, partner_scores = images_of_all[order], scores_of_all[order]
        lam = to_device(drawn, images)
        weight = remix_label_weight(
            lam, self.image_counts(scores), self.image_counts(partner_scores), self.kappa, self.tau
        )
        return (mix_images(images, partner_images, lam), mix_scores(scores, partner_scores, weight))

    def _permutation(self, rng: np.random.Generator, size: int, num_candidates: int) -> Array:
        """Positions of the partners: a permutation of the rank's batch, or this rank's part of
        one of the batch of all ranks."""
        if num_candidates == size:
            keys = self.draw_per_image(rng, size, lambda rng, total: rng.random(total))
            return np.argsort(keys, kind='stable')
        return self.draw_per_image(
            rng, size, lambda rng, total: np.argsort(rng.random(total), kind='stable')
        )
