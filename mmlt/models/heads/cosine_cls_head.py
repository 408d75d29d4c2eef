"""A classifier on the unit sphere."""

from __future__ import annotations

from mmpretrain.models.heads import ClsHead
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from .parts import build_classifier, check_head_options, hard_labels

__all__ = ['CosineClsHead']


@MODELS.register_module()
class CosineClsHead(ClsHead):
    """Classification head whose logits are ``scale`` times a cosine.

    Neither the norm of the features nor that of the class vectors, which grows with the number
    of training images, can favour a class.

    Args:
        num_classes: ``K``, at least 2.
        in_channels: channels of the pooled features.
        scale: inverse temperature; 30 in BCL and ConCutMix (ImageNet-LT, iNaturalist) and in
            LDAM (where ``LDAMLoss(logit_scale=30)`` expects it).
        **kwargs: of MMPretrain's ``ClsHead``: ``loss``, ``topk``, ``cal_acc``, ``init_cfg``.

    Raises:
        ValueError: if an option is out of range.

    Example:
        >>> import torch
        >>> head = CosineClsHead(num_classes=5, in_channels=8)
        >>> head((torch.rand(2, 8),)).shape
        torch.Size([2, 5])
    """

    def __init__(
        self, num_classes: int, in_channels: int, scale: float = 30.0, **kwargs: object
    ) -> None:
        super().__init__(**check_head_options(num_classes, kwargs))
        self.num_classes, self.in_channels = num_classes, in_channels
        self.fc = build_classifier(in_channels, num_classes, cosine=True, scale=scale)

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Logits ``(N, K)``."""
        return self.fc(self.pre_logits(feats))

    def _get_loss(
        self, cls_score: Tensor, data_samples: list[DataSample], **kwargs: object
    ) -> dict[str, Tensor]:
        """As in ``ClsHead``, with labels that are checked, whatever the loss does with them."""
        if 'gt_score' not in data_samples[0]:
            labels = hard_labels(self, data_samples)
            data_samples = [DataSample().set_gt_label(label) for label in labels]
        return super()._get_loss(cls_score, data_samples, **kwargs)
