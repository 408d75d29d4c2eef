"""The backbone of a model that trains on features."""

from __future__ import annotations

from mmpretrain.models.backbones.base_backbone import BaseBackbone
from mmpretrain.registry import MODELS
from torch import Tensor

from mmlt.functional.checks import check_integer, refuse

__all__ = ['IdentityBackbone']


@MODELS.register_module()
class IdentityBackbone(BaseBackbone):
    """Hands features of :class:`mmlt.datasets.FeaturesLT` to the head as they are.

    It has no weights. A neck would have nothing to do.

    Args:
        channels: ``D``, numbers for each image.
        init_cfg: without effect.

    Raises:
        ValueError: at the first batch of another ``D``, such as features of another network.

    Example:
        >>> import torch
        >>> IdentityBackbone(channels=8)(torch.rand(2, 8, 1, 1))[0].shape
        torch.Size([2, 8])
    """

    def __init__(self, channels: int, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.channels = check_integer('channels', channels, '[1, inf)')

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """``(N, D, 1, 1)`` or ``(N, D)`` to ``((N, D),)``."""
        features = x.flatten(1)
        if features.shape[1] != self.channels:
            raise refuse('inputs', f'{self.channels} features per image', features.shape[1])
        return (features,)
