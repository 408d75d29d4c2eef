"""A classifier on the unit sphere."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmpretrain.models.heads import ClsHead
from mmpretrain.registry import MODELS
from torch import Tensor, nn

__all__ = ['CosineClsHead', 'CosineLinear']


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
        # only the direction counts; an isotropic start has no preferred one
        nn.init.normal_(self.weight, std=in_channels**-0.5)

    def forward(self, features: Tensor) -> Tensor:
        """Logits ``(N, K)`` in ``[-scale, scale]`` from features ``(N, D)``."""
        return self.scale * F.linear(F.normalize(features, dim=1), F.normalize(self.weight, dim=1))

    def extra_repr(self) -> str:
        return f'{self.weight.shape[1]}, {self.weight.shape[0]}, scale={self.scale}'


@MODELS.register_module()
class CosineClsHead(ClsHead):
    """Classification head whose logits are ``scale`` times a cosine.

    Neither the norm of the features nor that of the class vectors, which grows with the number
    of training images, can favour a class.

    Args:
        num_classes: ``K``.
        in_channels: channels of the pooled features.
        scale: inverse temperature; 30 in BCL and ConCutMix (ImageNet-LT, iNaturalist) and in
            LDAM (where ``LDAMLoss(logit_scale=30)`` expects it).
        **kwargs: of MMPretrain's ``ClsHead``: ``loss``, ``topk``, ``cal_acc``, ``init_cfg``.

    Raises:
        ValueError: if ``num_classes`` or ``scale`` is not positive.

    Example:
        >>> head = CosineClsHead(num_classes=5, in_channels=8)
        >>> head((torch.rand(2, 8), )).shape
        torch.Size([2, 5])
    """

    def __init__(
        self, num_classes: int, in_channels: int, scale: float = 30.0, **kwargs: object
    ) -> None:
        super().__init__(**kwargs)
        if num_classes <= 0:
            raise ValueError(f'num_classes: expected a positive number, got {num_classes}')
        if scale <= 0:
            raise ValueError(f'scale: expected a positive number, got {scale}')
        self.num_classes, self.in_channels = num_classes, in_channels
        self.fc = CosineLinear(in_channels, num_classes, scale)

    def pre_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """The features ``(N, D)`` before the classifier."""
        return feats[-1]

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Logits ``(N, K)``."""
        return self.fc(self.pre_logits(feats))
