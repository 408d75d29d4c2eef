"""Backbones that MMPretrain lacks."""

from .cifar_resnet import CIFARResNet, CIFARResNetStage
from .identity import IdentityBackbone

__all__ = ['CIFARResNet', 'CIFARResNetStage', 'IdentityBackbone']
