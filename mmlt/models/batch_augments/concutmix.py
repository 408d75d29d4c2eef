"""ConCutMix: the part of it that happens to the pixels."""

from __future__ import annotations

from mmpretrain.registry import BATCH_AUGMENTS

from .paired import PairedCutMix

__all__ = ['ConCutMixAugment']


@BATCH_AUGMENTS.register_module()
class ConCutMixAugment(PairedCutMix):
    r"""CutMix of class-balanced foregrounds onto instance-balanced backgrounds.

    The anchor is the background, its partner (``PairSampler(partners='balanced')``) the
    foreground: :math:`t = \lambda\,t_{bg} + (1-\lambda)\,t_{fg}` with the area :math:`\lambda`
    outside the clipped box. The rectification of these labels in the semantic space belongs to
    :class:`mmlt.models.ContrastiveClsHead`.

    Args:
        alpha: of :math:`\lambda \sim Beta(\alpha, \alpha)`, positive; 1 in the paper.

    Reference:
        Pan et al., ConCutMix, IEEE TIP 2024. The box of the released code, from a generator that
        all ranks share.

    Example:
        >>> import torch
        >>> augment = ConCutMixAugment()
        >>> augment.set_progress(epoch=0, max_epochs=1, iteration=2, seed=0)
        >>> images, scores = augment.mix(
        ...     torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4),
        ...     torch.tensor([[1., 0.]]), torch.tensor([[0., 1.]]))
        >>> bool(images.mean() == scores[0, 1])
        True
    """
