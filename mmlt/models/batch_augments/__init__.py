"""Batch augments: mixing within the batch and with partners."""

from .cmo import CMOBatchAugment
from .concutmix import ConCutMixAugment
from .cpmix import CPMixBatchAugment
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
