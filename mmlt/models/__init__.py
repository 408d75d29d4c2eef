"""Models: backbones, necks, heads, losses and batch augments, registered into MMPretrain."""

from .backbones import *
from .batch_augments import *
from .classifiers import *
from .confusion_estimate import ConfusionEstimate
from .heads import *
from .losses import *
from .necks import *
from .paired_data_preprocessor import PairedDataPreprocessor
