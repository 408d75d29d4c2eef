"""CutMix of a partner onto its anchor: ConCutMix and CMO, which draw different partners."""

from __future__ import annotations

import torch
from mmpretrain.registry import BATCH_AUGMENTS
from torch import Tensor

from mmlt.functional.checks import check_number
from mmlt.functional.mixing import cutmix_box, mixup, paste_box

from .paired import PairedBatchAugment

__all__ = ['CMOBatchAugment', 'ConCutMixAugment']


class _PairedCutMix(PairedBatchAugment):
    """One box for the whole batch, on all ranks; its centre is uniform over the pixels."""

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = check_number('alpha', alpha, '(0, inf)')

    def _mix(
        self, images: Tensor, partner_images: Tensor, scores: Tensor, partner_scores: Tensor
    ) -> tuple[Tensor, Tensor]:
        rng = self.rng()
        height, width = images.shape[-2:]
        lam = float(rng.beta(self.alpha, self.alpha))
        centre = int(rng.integers(height)), int(rng.integers(width))
        box, lam = cutmix_box(height, width, lam, centre)
        weight = torch.full((len(scores),), lam, dtype=torch.float64, device=scores.device)
        return paste_box(images, partner_images, box), mixup(scores, partner_scores, weight)


@BATCH_AUGMENTS.register_module()
class ConCutMixAugment(_PairedCutMix):
    r"""CutMix of class-balanced foregrounds onto instance-balanced backgrounds.

    The anchor is the background, its partner (``PairSampler(partners='balanced')``) the
    foreground: :math:`t = \lambda\,t_{bg} + (1-\lambda)\,t_{fg}` with the area :math:`\lambda`
    outside the clipped box. The rectification of these labels in the semantic space belongs to
    :class:`mmlt.models.ContrastiveClsHead`.

    Args:
        alpha: of :math:`\lambda \sim Beta(\alpha, \alpha)`, positive; 1, the uniform
            distribution, in the paper.

    Raises:
        OptionError: if ``alpha`` is not positive.

    Reference:
        Pan et al., ConCutMix, IEEE TIP 2024. The box of the released code, from a generator that
        all ranks share.

    Example:
        >>> augment = ConCutMixAugment()
        >>> augment.set_progress(epoch=0, max_epochs=1, iteration=2, seed=0)
        >>> images, scores = augment.mix(
        ...     torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4),
        ...     torch.tensor([[1., 0.]]), torch.tensor([[0., 1.]]))
        >>> bool(images.mean() == scores[0, 1])
        True
    """


@BATCH_AUGMENTS.register_module()
class CMOBatchAugment(_PairedCutMix):
    r"""CutMix of rare foregrounds onto the rich contexts of frequent classes.

    The anchor is the background, as the data has it; the partner is the foreground, drawn so that
    rare classes are frequent. ``PairSampler(partners='balanced')`` weights an image by the inverse
    of its class's size, as the released code does; ``'inverse'`` is :math:`q_k \propto 1/n_k` over
    classes, ``-r`` another power.

    Args:
        alpha: of :math:`\lambda \sim Beta(\alpha, \alpha)`, positive.

    Raises:
        OptionError: if ``alpha`` is not positive.

    Reference:
        Park et al., The Majority Can Help the Minority, CVPR 2022. Its released code leaves the
        first four and the last three epochs unmixed as well: ``SwitchRecipeHook`` of MMPretrain.

    Example:
        >>> train_cfg = dict(augments=[dict(type='CMOBatchAugment')])
        >>> sampler = dict(type='PairSampler', partners='balanced')
    """
