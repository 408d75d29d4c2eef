"""UniMix: mixup whose factor is shifted by the prior of the two classes."""

from __future__ import annotations

from mmpretrain.registry import BATCH_AUGMENTS
from torch import Tensor

from mmlt.functional.mixing import mix_images, mix_scores, unimix_factor

from .paired import PairedBatchAugment
from .randomness import check_positive, to_device

__all__ = ['UniMixBatchAugment']


@BATCH_AUGMENTS.register_module()
class UniMixBatchAugment(PairedBatchAugment):
    r"""Mixup with UniMix's factor, one for each image.

    :math:`\lambda \sim Beta(\alpha, \alpha)` is shifted around the circle by
    :math:`\pi_j / (\pi_i + \pi_j)`: the rarer class gets the larger share, in pixels and label.
    The law of the partners is the sampler's; the released code draws an image by
    :math:`n_k^\tau`, hence a class by :math:`n_k^{1 + \tau}`: ``PairSampler(law=0.9)`` on
    CIFAR-100-LT (tau -0.1), ``law=0.5`` on CIFAR-10-LT. It mixes every batch.

    Args:
        alpha: of the Beta distribution.

    Raises:
        ValueError: if ``alpha`` is not positive; in ``mix``, if the class counts are unknown.

    Reference:
        Xu et al., Towards Calibrated Model for Long-Tailed Visual Recognition from Prior
        Perspective, NeurIPS 2021; factor and ``alpha`` as in its released code, which draws
        partners within the batch, where ``PairSampler`` draws from the whole training set.

    Example:
        >>> train_cfg = dict(augments=dict(type='UniMixBatchAugment', alpha=0.8))
        >>> sampler = dict(type='PairSampler', law=0.9)
    """

    def __init__(self, alpha: float = 0.8) -> None:
        super().__init__()
        self.alpha = check_positive('alpha', alpha)

    def _mix(
        self, images: Tensor, partner_images: Tensor, scores: Tensor, partner_scores: Tensor
    ) -> tuple[Tensor, Tensor]:
        lam = self.draw_per_image(
            self.rng(), len(images), lambda rng, size: rng.beta(self.alpha, self.alpha, size)
        )
        factor = unimix_factor(
            to_device(lam, images), self.image_counts(scores), self.image_counts(partner_scores)
        )
        return (
            mix_images(images, partner_images, factor),
            mix_scores(scores, partner_scores, factor),
        )
