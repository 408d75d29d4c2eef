"""CMO: context-rich oversampling by CutMix."""

from __future__ import annotations

from mmpretrain.registry import BATCH_AUGMENTS

from .paired_cutmix import PairedCutMix

__all__ = ['CMOBatchAugment']


@BATCH_AUGMENTS.register_module()
class CMOBatchAugment(PairedCutMix):
    r"""Rare foregrounds on the rich contexts of frequent classes.

    The anchor is the background, as the data has it; the partner is the foreground, by a law that
    favours rare classes. The law is the sampler's: ``PairSampler(law='inverse')`` for
    :math:`q_k \propto 1/n_k`, ``law=-r`` for a power, ``law='balanced'`` for images weighted by
    the inverse of their class's size. The share of mixed batches is ``PairBatchSampler``'s.

    Args:
        alpha: of lambda's Beta(alpha, alpha).

    Raises:
        ValueError: if ``alpha`` is not positive.

    Reference:
        Park et al., The Majority Can Help the Minority, CVPR 2022. Not checked against its code;
        which of the laws above it uses is for the user to choose.

    Example:
        >>> train_cfg = dict(augments=dict(type='CMOBatchAugment'))
        >>> sampler = dict(type='PairSampler', law='inverse')
    """
