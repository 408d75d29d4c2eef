"""Models: backbones, necks, heads, losses and batch augments, registered into MMPretrain."""

from . import backbones, batch_augments, classifiers, heads, losses, necks
from .backbones import *
from .batch_augments import *
from .classifiers import *
from .device_images import DeviceImagesDataPreprocessor
from .device_views import DeviceViewsDataPreprocessor
from .heads import *
from .losses import *
from .losses.confusion_estimate import ConfusionEstimate
from .losses.confusion_pair_counts import ConfusionPairCounts
from .necks import *
from .preprocessors import PairedDataPreprocessor
from .weight_init import KaimingWeight

__all__ = [
    'ConfusionEstimate',
    'ConfusionPairCounts',
    'DeviceImagesDataPreprocessor',
    'DeviceViewsDataPreprocessor',
    'KaimingWeight',
    'PairedDataPreprocessor',
    *backbones.__all__,
    *batch_augments.__all__,
    *classifiers.__all__,
    *heads.__all__,
    *losses.__all__,
    *necks.__all__,
]
