"""Models: backbones, necks, heads, losses and batch augments, registered into MMPretrain."""

from .backbones import *
from .batch_augments import *
from .heads import *
from .losses import *
