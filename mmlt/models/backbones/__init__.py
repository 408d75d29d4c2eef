"""Backbones that MMPretrain lacks."""

from .cifar_resnet import CIFARResNet, CIFARResNetStage
from .identity import IdentityBackbone
from .tuned_backbone import TunedBackbone

__all__ = ['CIFARResNet', 'CIFARResNetStage', 'IdentityBackbone', 'TunedBackbone']
