"""UniMix: mixup whose factor is shifted by the prior of the two classes."""

from __future__ import annotations

from mmpretrain.registry import BATCH_AUGMENTS
from torch import Tensor

from mmlt.functional.checks import check_number
from mmlt.functional.mixing import mixup, unimix_factor

from .paired import PairedBatchAugment
from .randomness import to_device

__all__ = ['UniMixBatchAugment']


@BATCH_AUGMENTS.register_module()
class UniMixBatchAugment(PairedBatchAugment):
    r"""Mixup with UniMix's factor, one for each image.

    :math:`\lambda \sim Beta(\alpha, \alpha)` is shifted around the circle by
    :math:`\pi_j / (\pi_i + \pi_j)`: the rarer class gets the larger share, in pixels and label.
    The released code draws a partner image by :math:`n_k^\tau`, hence its class by
    :math:`n_k^{1 + \tau}`: ``PairSampler(partners=0.9)`` on CIFAR-100-LT (tau -0.1),
    ``partners=0.5`` on CIFAR-10-LT. It mixes every batch: ``PairBatchSampler(prob=1.0)``.

    Args:
        alpha: of the Beta distribution, positive.

    Raises:
        OptionError: if ``alpha`` is not positive.

    Reference:
        Xu et al., Towards Calibrated Model for Long-Tailed Visual Recognition from Prior
        Perspective, NeurIPS 2021; factor and ``alpha`` as in its released code, which draws
        partners within the batch, where ``PairSampler`` draws from the whole training set.

    Example:
        >>> train_cfg = dict(augments=[dict(type='UniMixBatchAugment', alpha=0.8)])
        >>> sampler = dict(type='PairSampler', partners=0.9)
    """

    def __init__(self, alpha: float = 0.8) -> None:
        super().__init__()
        self.alpha = check_number('alpha', alpha, '(0, inf)')

    def _mix(
        self, images: Tensor, partner_images: Tensor, scores: Tensor, partner_scores: Tensor
    ) -> tuple[Tensor, Tensor]:
        rng = self.rng()
        lam = self.draw_per_image(
            lambda total: rng.beta(self.alpha, self.alpha, total), len(images)
        )
        factor = unimix_factor(
            to_device(lam, images), self.image_counts(scores), self.image_counts(partner_scores)
        )
        return mixup(images, partner_images, factor), mixup(scores, partner_scores, factor)
