"""CMO: context-rich oversampling by CutMix."""

from __future__ import annotations

from mmpretrain.registry import BATCH_AUGMENTS

from .paired import PairedCutMix

__all__ = ['CMOBatchAugment']


@BATCH_AUGMENTS.register_module()
class CMOBatchAugment(PairedCutMix):
    r"""Rare foregrounds on the rich contexts of frequent classes.

    The anchor is the background, as the data has it; the partner is the foreground, by a law that
    favours rare classes. The law is the sampler's: ``PairSampler(law='balanced')`` weights an image
    by the inverse of its class's size, as the released code does; ``law='inverse'`` is
    :math:`q_k \propto 1/n_k` over classes, ``law=-r`` another power. The share of mixed batches is
    ``PairBatchSampler``'s.

    Args:
        alpha: of lambda's Beta(alpha, alpha).

    Raises:
        ValueError: if ``alpha`` is not positive.

    Reference:
        Park et al., The Majority Can Help the Minority, CVPR 2022. Its released code leaves the
        first and the last three epochs unmixed as well.

    Example:
        >>> train_cfg = dict(augments=dict(type='CMOBatchAugment'))
        >>> sampler = dict(type='PairSampler', law='balanced')
    """
