"""From the backbone's features to the space in which they are contrasted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmlt.functional.checks import check_integer
from mmlt.registry import check_init_cfg

__all__ = ['BCLNeck', 'projection_mlp']


def projection_mlp(
    in_channels: int, hidden_channels: int | None, out_channels: int
) -> nn.Sequential:
    """Linear, BatchNorm, ReLU, Linear; ``hidden_channels`` None is ``in_channels``."""
    if hidden_channels is None:
        hidden_channels = in_channels
    check_integer('hidden_channels', hidden_channels, '[1, inf)')
    return nn.Sequential(
        nn.Linear(in_channels, hidden_channels),
        nn.BatchNorm1d(hidden_channels),
        nn.ReLU(inplace=True),
        nn.Linear(hidden_channels, out_channels),
    )


@MODELS.register_module()
class BCLNeck(BaseModule):
    """Global average pooling; in training also the projection of balanced contrastive learning.

    In training the output is ``(projections, features)``, at test ``(features,)``. The features
    come last, where every head of MMPretrain looks for them, so that the neck also serves a plain
    head; the projection costs nothing at test.

    Args:
        in_channels: channels of the backbone's last output.
        out_channels: width of the contrastive space; 1024 for ImageNet-LT and iNaturalist, 128
            for CIFAR.
        hidden_channels: width inside the projection; None for ``in_channels``, 512 for CIFAR.
        init_cfg: initialisation; None for torch's own.

    Raises:
        ValueError: if a width is not an integer of at least 1.

    Reference:
        Zhu et al., Balanced Contrastive Learning, CVPR 2022, section 3. The projection sees all
        views, the one to classify too. Whether its BatchNorm sees them together or apart is
        ``batch_norm`` of :class:`MultiViewClassifier`.

    Example:
        >>> import torch
        >>> neck = BCLNeck(in_channels=8, out_channels=4)
        >>> [tuple(output.shape) for output in neck((torch.zeros(6, 8, 2, 2),))]
        [(6, 4), (6, 8)]
        >>> [tuple(output.shape) for output in neck.eval()((torch.zeros(6, 8, 2, 2),))]
        [(6, 8)]
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 1024,
        hidden_channels: int | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        check_init_cfg(init_cfg)
        super().__init__(init_cfg=init_cfg)
        self.in_channels = check_integer('in_channels', in_channels, '[1, inf)')
        check_integer('out_channels', out_channels, '[1, inf)')
        self.projection = projection_mlp(in_channels, hidden_channels, out_channels)

    def forward(self, inputs: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Pool the last output of the backbone, and project it in training.

        Args:
            inputs: the backbone's outputs, of which the last counts: a map ``(N, C, H, W)`` or
                pooled features ``(N, C)``, such as the class token of a vision transformer.

        Returns:
            ``(projections (N, D), features (N, C))`` in training, ``(features,)`` at test.
            The projections are not normalised.
        """
        features: Any = inputs if isinstance(inputs, Tensor) else inputs[-1]
        if isinstance(features, (tuple, list)):
            raise ValueError(
                'inputs: expected one output (N, C, H, W) or (N, C) from the backbone, got '
                f'{len(features)} together (class and distillation token of a distilled '
                'transformer, branches of Conformer); a vision transformer gives one with '
                "backbone=dict(out_type='avg_featmap')"
            )
        if not isinstance(features, Tensor) or features.ndim not in (2, 4):
            found = getattr(features, 'shape', type(features).__name__)
            raise ValueError(
                f'inputs: expected (N, C, H, W) or (N, C) from the backbone, got {found}'
            )
        if features.ndim == 4:
            features = F.adaptive_avg_pool2d(features, 1).flatten(1)
        if features.shape[1] != self.in_channels:
            raise ValueError(
                f'in_channels: expected {features.shape[1]}, the channels of the backbone, '
                f'got {self.in_channels}'
            )
        return (self.projection(features), features) if self.training else (features,)
