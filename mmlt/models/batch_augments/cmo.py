"""CMO: context-rich oversampling by CutMix."""

from __future__ import annotations

from mmpretrain.registry import BATCH_AUGMENTS

from .paired import PairedCutMix

__all__ = ['CMOBatchAugment']


@BATCH_AUGMENTS.register_module()
class CMOBatchAugment(PairedCutMix):
    r"""CutMix of rare foregrounds onto the rich contexts of frequent classes.

    The anchor is the background, as the data has it; the partner is the foreground, drawn so that
    rare classes are frequent. ``PairSampler(partners='balanced')`` weights an image by the inverse
    of its class's size, as the released code does; ``'inverse'`` is :math:`q_k \propto 1/n_k` over
    classes, ``-r`` another power.

    Args:
        alpha: of :math:`\lambda \sim Beta(\alpha, \alpha)`, positive.

    Reference:
        Park et al., The Majority Can Help the Minority, CVPR 2022. Its released code leaves the
        first and the last three epochs unmixed as well.

    Example:
        >>> train_cfg = dict(augments=dict(type='CMOBatchAugment'))
        >>> sampler = dict(type='PairSampler', partners='balanced')
    """
