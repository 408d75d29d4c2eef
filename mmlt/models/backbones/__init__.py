"""Backbones that MMPretrain lacks."""

from .cifar_resnet import CIFARResNet, CIFARResNetStage

__all__ = ['CIFARResNet', 'CIFARResNetStage']
