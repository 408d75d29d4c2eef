"""Remix: mixup whose label goes to the rarer class."""

from __future__ import annotations

import numpy as np
from mmpretrain.registry import BATCH_AUGMENTS
from torch import Tensor

from mmlt.functional.checks import check_number
from mmlt.functional.mixing import mixup, remix_label_weight

from .randomness import SeededBatchAugment, check_batch, to_device

__all__ = ['RemixBatchAugment']


@BATCH_AUGMENTS.register_module()
class RemixBatchAugment(SeededBatchAugment):
    r"""Mixup within the batch, with the whole label to a class that is ``kappa`` times rarer.

    It needs no paired loader: ``train_cfg=dict(augments=[dict(type='RemixBatchAugment')])`` is
    all that a stock MMPretrain config has to say. One :math:`\lambda` and one permutation hold
    for a batch. Each rank permutes its own batch, as MMPretrain's ``Mixup`` does.

    Args:
        alpha: of :math:`\lambda \sim Beta(\alpha, \alpha)`, positive.
        kappa: imbalance between two classes from which on the rule acts, at least 1.
        tau: the rarer class must have more than ``1 - tau`` of the pixels, in ``[0, 1]``.
        prob: share of the batches that are mixed, the same ones on all ranks; ``probs`` of
            MMPretrain's ``train_cfg`` would draw other ones on each.

    Raises:
        OptionError: if an option is out of range.

    Reference:
        Chou et al., Remix: Rebalanced Mixup, ECCV workshops 2020.

    Example:
        >>> train_cfg = dict(augments=[dict(type='RemixBatchAugment', alpha=1.0)])
    """

    def __init__(
        self, alpha: float = 1.0, kappa: float = 3.0, tau: float = 0.5, prob: float = 1.0
    ) -> None:
        super().__init__()
        self.alpha = check_number('alpha', alpha, '(0, inf)')
        self.kappa = check_number('kappa', kappa, '[1, inf)')
        self.tau = check_number('tau', tau, '[0, 1]')
        self.prob = check_number('prob', prob, '[0, 1]')

    def __call__(self, images: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Mix a batch with itself, permuted; no argument is changed.

        Args:
            images: ``(N, C, H, W)``, normalised.
            scores: ``(N, K)``, one-hot or soft.

        Returns:
            Images ``(N, C, H, W)`` and scores ``(N, K)``.

        Raises:
            OptionError: if images or scores are of another form.
            ValueError: if seed and iteration are unknown, or the class counts are unknown.
        """
        scores = check_batch(images, scores)
        counts = self.image_counts(scores)
        rng = self.rng()
        if rng.random() >= self.prob:
            return images, scores
        lam = to_device(np.full(len(images), rng.beta(self.alpha, self.alpha)), images)
        keys = self.draw_per_image(rng.random, len(images))
        order = to_device(np.argsort(keys, kind='stable'), images)
        weight = remix_label_weight(lam, counts, counts[order], self.kappa, self.tau)
        return mixup(images, images[order], lam), mixup(scores, scores[order], weight)
