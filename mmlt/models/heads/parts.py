"""What the heads build alike: their classifiers and their losses, from checked options."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmlt.functional.checks import check_flag, check_integer, check_number, refuse

__all__ = ['CosineLinear', 'build_classifier', 'build_module']


class CosineLinear(nn.Module):
    """``scale`` times the cosine between features and class vectors, ``(N, D) -> (N, K)``."""

    def __init__(self, in_channels: int, num_classes: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.empty(num_classes, in_channels))
        # Only the direction counts, and an isotropic start has no preferred one. The norm is that
        # of the released code: how far a step of the optimiser turns a row depends on it.
        nn.init.normal_(self.weight)
        with torch.no_grad():
            self.weight /= self.weight.norm(dim=1, keepdim=True)

    def forward(self, features: Tensor) -> Tensor:
        return self.scale * F.linear(F.normalize(features, dim=1), F.normalize(self.weight, dim=1))

    def extra_repr(self) -> str:
        return f'{self.weight.shape[1]}, {self.weight.shape[0]}, scale={self.scale}'


def build_classifier(in_channels: int, num_classes: int, cosine: bool, scale: float) -> nn.Module:
    """A linear or a cosine classifier ``(N, D) -> (N, K)``, from options that it checks."""
    check_integer('in_channels', in_channels, '[1, inf)')
    check_integer('num_classes', num_classes, '[2, inf)')
    check_number('scale', scale, '(0, inf)')
    if check_flag('cosine', cosine):
        return CosineLinear(in_channels, num_classes, scale)
    return nn.Linear(in_channels, num_classes)


def build_module(name: str, module: Any) -> nn.Module:
    """A module from its config, or as it is; ``OptionError`` naming the option if it is neither."""
    if isinstance(module, nn.Module):
        return module
    if isinstance(module, dict):
        built: nn.Module = MODELS.build(module)
        return built
    raise refuse(name, 'a config or a module', module)
