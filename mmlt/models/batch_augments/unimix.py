"""UniMix: mixup whose factor is shifted by the prior of the two classes."""

from __future__ import annotations

from mmpretrain.registry import BATCH_AUGMENTS
from torch import Tensor

from mmlt.functional.mixed_labels import unimix_factor
from mmlt.functional.mixing import mix_images, mix_scores

from .paired import PairedBatchAugment
from .seeded import check_positive, to_device

__all__ = ['UniMixBatchAugment']


@BATCH_AUGMENTS.register_module()
class UniMixBatchAugment(PairedBatchAugment):
    r"""Mixup with UniMix's factor, one for each image.

    :math:`\lambda \sim Beta(\alpha, \alpha)` is shifted around the circle until its centre lies
    at :math:`\pi_j / (\pi_i + \pi_j)`: the rarer class gets the larger share, in pixels and
    label. The partner follows the inverse law, ``PairSampler(law='inverse')``.

    Args:
        alpha: of the Beta distribution.

    Raises:
        ValueError: if ``alpha`` is not positive; in ``mix``, if the class counts are unknown.

    Reference:
        Xu et al., Towards Calibrated Model for Long-Tailed Visual Recognition from Prior
        Perspective, NeurIPS 2021. Neither paper nor code was at hand: factor, ``alpha`` and law
        are the project's reading and are not checked against released numbers.

    Example:
        >>> train_cfg = dict(augments=dict(type='UniMixBatchAugment', alpha=0.5))
        >>> sampler = dict(type='PairSampler', law='inverse')
    """

    def __init__(self, alpha: float = 0.5) -> None:
        super().__init__()
        self.alpha = check_positive('alpha', alpha)

    def _mix(self, images: Tensor, partner_images: Tensor, scores: Tensor,
             partner_scores: Tensor) -> tuple[Tensor, Tensor]:
        lam = self.draw_per_image(self.rng(), len(images),
                                  lambda rng, size: rng.beta(self.alpha, self.alpha, size))
        factor = unimix_factor(to_device(lam, images), self.image_counts(scores),
                               self.image_counts(partner_scores))
        return (mix_images(images, partner_images, factor),
                mix_scores(scores, partner_scores, factor))
