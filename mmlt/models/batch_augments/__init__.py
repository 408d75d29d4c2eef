"""Batch augments: mixing within the batch and with partners."""

from .cpmix import CPMixBatchAugment
from .cutmix import CMOBatchAugment, ConCutMixAugment
from .paired import PairedBatchAugment
from .remix import RemixBatchAugment
from .unimix import UniMixBatchAugment

__all__ = [
    'CMOBatchAugment',
    'CPMixBatchAugment',
    'ConCutMixAugment',
    'PairedBatchAugment',
    'RemixBatchAugment',
    'UniMixBatchAugment',
]
