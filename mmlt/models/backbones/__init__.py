"""Backbones that MMPretrain lacks."""

from .cifar_resnet import CIFARResNet, CIFARResNetStage
from .tuned_backbone import TunedBackbone

__all__ = ['CIFARResNet', 'CIFARResNetStage', 'TunedBackbone']
