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
    """``scale`` times the cosine between features and class vectors.

    Args:
        in_channels: ``D``.
        num_classes: ``K``.
        scale: inverse temperature.

    Example:
        >>> layer = CosineLinear(3, 2, scale=5.0)
        >>> bool((layer(torch.ones(1, 3)).abs() <= 5).all())
        True
    """

    def __init__(self, in_channels: int, num_classes: int, scale: float = 30.0) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.empty(num_classes, in_channels))
        # Only the direction counts; an isotropic start has no preferred one.
        nn.init.normal_(self.weight, std=in_channels**-0.5)

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``(N, K)`` in ``[-scale, scale]`` from features ``(N, D)``."""
        return self.scale * F.linear(F.normalize(features, dim=1), F.normalize(self.weight, dim=1))

    def extra_repr(self) -> str:
        return f'{self.weight.shape[1]}, {self.weight.shape[0]}, scale={self.scale}'


def build_classifier(in_channels: int, num_classes: int, cosine: bool, scale: float) -> nn.Module:
    """A linear or a cosine classifier.

    Args:
        in_channels: ``D``, at least 1.
        num_classes: ``K``, at least 2.
        cosine: cosine instead of linear.
        scale: factor of the cosine, above 0.

    Returns:
        The module, ``(N, D) -> (N, K)``.

    Raises:
        OptionError: if an option is out of range.

    Example:
        >>> build_classifier(3, 2, cosine=False, scale=30.0)
        Linear(in_features=3, out_features=2, bias=True)
    """
    check_integer('in_channels', in_channels, '[1, inf)')
    check_integer('num_classes', num_classes, '[2, inf)')
    check_number('scale', scale, '(0, inf)')
    if check_flag('cosine', cosine):
        return CosineLinear(in_channels, num_classes, scale)
    return nn.Linear(in_channels, num_classes)


def build_module(name: str, module: Any) -> nn.Module:
    """A module from its config; one that is built already is taken as it is.

    Args:
        name: of the option, for the error.
        module: config or module.

    Returns:
        The module.

    Raises:
        OptionError: if it is neither.

    Example:
        >>> build_module('loss', dict(type='CrossEntropyLoss')).loss_weight
        1.0
    """
    if isinstance(module, nn.Module):
        return module
    if isinstance(module, dict):
        built: nn.Module = MODELS.build(module)
        return built
    raise refuse(name, 'a config or a module', module)
