"""Long-tailed data sets, paired data and samplers, registered into MMPretrain."""

from .cifar_lt import CIFAR10LT, CIFAR100LT
from .digits_lt import DigitsLT
from .imagenet_lt import ImageNetLT
from .inaturalist import INaturalist2018
from .list_dataset import LongTailListDataset
from .long_tail import LongTailMixin
from .long_tail_dataset import LongTailDataset
from .paired_dataset import PairedDataset
from .places_lt import PlacesLT
from .samplers import ClassBalancedSampler, PairBatchSampler, PairSampler
from .transforms import CIFARAutoAugment

__all__ = [
    'CIFAR10LT',
    'CIFAR100LT',
    'CIFARAutoAugment',
    'ClassBalancedSampler',
    'DigitsLT',
    'INaturalist2018',
    'ImageNetLT',
    'LongTailDataset',
    'LongTailListDataset',
    'LongTailMixin',
    'PairBatchSampler',
    'PairSampler',
    'PairedDataset',
    'PlacesLT',
]
