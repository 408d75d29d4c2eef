"""Long-tailed data sets, paired data and samplers, registered into MMPretrain."""

from .benchmarks import ImageNetLT, INaturalist2018, PlacesLT
from .cifar_lt import CIFAR10LT, CIFAR100LT
from .digits_lt import DigitsLT
from .features import FeaturesLT
from .lists import LongTailListDataset
from .long_tail import LongTailMixin
from .long_tail_dataset import LongTailDataset
from .paired_dataset import PairedDataset
from .reading import UnreadableImageError
from .samplers import ClassBalancedSampler, PairBatchSampler, PairSampler
from .transforms import CIFARAutoAugment, ClippedCutout, PackIndex, PlacedCrop

__all__ = [
    'CIFAR10LT',
    'CIFAR100LT',
    'CIFARAutoAugment',
    'ClassBalancedSampler',
    'ClippedCutout',
    'DigitsLT',
    'FeaturesLT',
    'INaturalist2018',
    'ImageNetLT',
    'LongTailDataset',
    'LongTailListDataset',
    'LongTailMixin',
    'PackIndex',
    'PairBatchSampler',
    'PairSampler',
    'PairedDataset',
    'PlacedCrop',
    'PlacesLT',
    'UnreadableImageError',
]
