"""Classification head of BCL and ConCutMix, with CAR where wanted."""

from __future__ import annotations

import torch
from mmpretrain.models.heads import ClsHead
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmlt.functional.checks import check_integer
from mmlt.models.necks.bcl_neck import projection_mlp
from mmlt.registry import build_module

from .label_rectifier import LabelRectifier
from .parts import build_classifier, check_head_options, hard_labels

__all__ = ['ContrastiveClsHead']


@MODELS.register_module()
class ContrastiveClsHead(ClsHead):
    """Classifier whose weight rows are also the source of the contrastive prototypes.

    In training it takes ``(projections, features)`` of :class:`mmlt.models.BCLNeck` for
    ``V >= 3`` views of each image, view by view. View 0 is classified; where it was mixed, the
    data samples are ``mixed`` and carry ``gt_score``, whose area labels are rectified from
    ``label_start_epoch`` on. The other views are clean: with ``gt_label`` they make the
    contrastive loss and, if wanted, CAR. The log gets ``loss_cls``, ``loss_bcl``, ``loss_car``
    and, in steps with rectified labels, the mean ``gamma``.

    At test it is a plain linear (or cosine) classifier of the features.

    Args:
        num_classes: ``K``, at least 2.
        in_channels: channels of the features.
        embedding_channels: width of the contrastive space; ``out_channels`` of the neck.
        hidden_channels: width inside the prototype MLP; None for ``in_channels``.
        cosine: cosine classifier (ImageNet-LT, iNaturalist) instead of a linear one (CIFAR).
        scale: factor of the cosine classifier, above 0.
        loss: classification loss, for hard and soft targets, with its ``loss_weight``.
        loss_bcl: contrastive loss, with its ``loss_weight``.
        loss_car: regulariser called with ``(logits, targets)`` of the clean views, or None:
            ``dict(type='CARLoss', criterion=None, num_classes=K)``.
        label_start_epoch: first epoch (from 0) with rectified labels; None for never.
        top_k: classes in the semantic label, at least 1; 30, for CIFAR-10 3.
        omega: factor of the confidence in the semantic label, at least 0.
        confidence: ``'log_count'``, or a constant in ``[0, 1]`` that replaces it.
        **kwargs: ``init_cfg`` of ``ClsHead``.

    Raises:
        ValueError: if an option is out of its range, for ``cal_acc=True``, and for rectified labels
            with a ``loss_bcl`` that trains no prototypes (``ProCoLoss``).

    Reference:
        Zhu et al., BCL, CVPR 2022; Pan et al., ConCutMix, IEEE TIP 2024. The released CIFAR code
        feeds the transposed classifier weight to the prototype MLP; here it is one row per class.

    Example:
        >>> head = ContrastiveClsHead(num_classes=5, in_channels=8, embedding_channels=4)
        >>> head((torch.zeros(2, 8),)).shape
        torch.Size([2, 5])
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        embedding_channels: int = 1024,
        hidden_channels: int | None = None,
        cosine: bool = False,
        scale: float = 30.0,
        loss: dict | nn.Module = dict(type='LogitAdjustedLoss'),  # noqa: B006
        loss_bcl: dict | nn.Module = dict(type='BalancedContrastiveLoss'),  # noqa: B006
        loss_car: dict | nn.Module | None = None,
        label_start_epoch: int | None = None,
        top_k: int = 30,
        omega: float = 200 / 255,
        confidence: str | float = 'log_count',
        **kwargs: object,
    ) -> None:
        super().__init__(**check_head_options(num_classes, {**kwargs, 'loss': loss}))
        if self.cal_acc:
            raise ValueError(
                'cal_acc: expected False, because the classified view may be mixed, got True; '
                'LongTailMetric reports the accuracy'
            )
        check_integer('embedding_channels', embedding_channels, '[1, inf)')
        self.num_classes, self.in_channels = num_classes, in_channels
        self.fc = build_classifier(in_channels, num_classes, cosine, scale)
        self.loss_bcl = build_module('loss_bcl', loss_bcl)
        # Parameters that no loss reaches would end a run of several processes at its second step.
        self.prototype_mlp: nn.Module | None = None
        if getattr(self.loss_bcl, 'needs_prototypes', True):
            self.prototype_mlp = projection_mlp(in_channels, hidden_channels, embedding_channels)
        elif label_start_epoch is not None:
            raise ValueError(
                'label_start_epoch: expected None, because '
                f'{type(self.loss_bcl).__name__} trains no prototypes, got {label_start_epoch!r}'
            )
        self.rectifier = LabelRectifier(num_classes, label_start_epoch, top_k, omega, confidence)
        self.loss_car = None if loss_car is None else build_module('loss_car', loss_car)

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Logits ``(N, K)``."""
        return self.fc(self.pre_logits(feats))

    def prototypes(self) -> Tensor:
        """One prototype per class, ``(K, embedding_channels)``, not normalised.

        Raises:
            ValueError: if ``loss_bcl`` trains none.
        """
        if self.prototype_mlp is None:
            raise ValueError(
                'prototypes: expected a loss_bcl that trains them, got '
                f'{type(self.loss_bcl).__name__}'
            )
        return self.prototype_mlp(self.fc.weight)

    def loss(
        self, feats: tuple[Tensor, ...], data_samples: list[DataSample], **kwargs: object
    ) -> dict[str, Tensor]:
        """Losses of a training step.

        Args:
            feats: ``(projections (V * N, D), features (V * N, C))``, view by view.
            data_samples: ``N`` samples with ``gt_label``; with ``gt_score`` and ``mixed=True``, as
                :class:`mmlt.models.PairedDataPreprocessor` sets them, if view 0 was mixed.
            **kwargs: for the classification loss.

        Returns:
            ``loss_cls``, ``loss_bcl``, ``loss_car`` and ``gamma``, as far as they apply.

        Raises:
            ValueError: if projections or views are missing, or labels are not one integer each.
        """
        num_images = len(data_samples)
        num_views = _count_views(feats, num_images)
        projections, features = feats[-2], feats[-1]
        labels = hard_labels(self, data_samples)
        prototypes = None if self.prototype_mlp is None else self.prototypes()
        losses: dict[str, Tensor] = {}

        target = labels
        if 'gt_score' in data_samples[0]:
            target = torch.stack([sample.gt_score for sample in data_samples])
            if data_samples[0].get('mixed') and self.rectifier.active:
                target, gamma = self.rectifier(projections[:num_images], prototypes, target)
                losses['gamma'] = gamma.mean()
        losses['loss_cls'] = self.loss_module(
            self.fc(features[:num_images]), target, avg_factor=num_images, **kwargs
        )

        clean = projections.unflatten(0, (num_views, num_images))[1:].transpose(0, 1)
        losses['loss_bcl'] = self.loss_bcl(clean, labels, prototypes)
        if self.loss_car is not None:
            losses['loss_car'] = self.loss_car(
                self.fc(features[num_images:]), labels.repeat(num_views - 1)
            )
        return losses


def _count_views(feats: tuple[Tensor, ...], num_images: int) -> int:
    if len(feats) < 2:
        raise ValueError(
            'feats: expected (projections, features), as BCLNeck gives them in training, got '
            f'{len(feats)} output'
        )
    num_views, rest = divmod(feats[-1].shape[0], num_images)
    if rest or num_views < 3:
        raise ValueError(
            'feats: expected at least 3 views of each image (one to classify, two or more to '
            f'contrast) from MultiView in the pipeline, got {feats[-1].shape[0]} feature rows for '
            f'{num_images} data samples'
        )
    return num_views
