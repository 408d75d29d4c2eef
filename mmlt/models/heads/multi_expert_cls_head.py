"""Several classifiers on one backbone, each with its own loss.

Experts that train differently make different mistakes, so the mean of their logits is better than
each of them, most of all on rare classes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from mmengine.model import ModuleList
from mmpretrain.evaluation.metrics import Accuracy
from mmpretrain.models.heads import ClsHead
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmlt.functional.checks import check_choice, check_integer, refuse
from mmlt.registry import build_module, check_config

from .parts import build_classifier, check_head_options, hard_labels

__all__ = ['MultiExpertClsHead']


class _ExpertLosses(nn.ModuleList):
    """One loss module for each expert, in the place of the ``loss_module`` of other heads."""

    def __init__(self, losses: Iterable[nn.Module]) -> None:
        # Copied, because each expert's loss has its own state.
        super().__init__(copy.deepcopy(loss) for loss in losses)

    def forward(self, cls_score: Tensor, target: Tensor, **kwargs: Any) -> list[Tensor]:
        """``E`` losses of the experts' logits ``(E, N, K)`` and the target that they share."""
        return [
            loss(logits, target, **kwargs) for loss, logits in zip(self, cls_score, strict=True)
        ]


@MODELS.register_module()
class MultiExpertClsHead(ClsHead):
    r"""E classifiers, each with its own last stage and its own loss.

    The backbone is shared. Every expert gets the same image and label, mixed or not, and the log
    shows ``loss_expert0``, ``loss_expert1``, ... At test the logits are the mean over the experts,
    from which confusion pairs are counted too. A loss with state (``CARLoss``,
    ``LogitAdjustedLoss``) exists once for each expert.

    Args:
        num_classes: ``K``, at least 2.
        in_channels: channels that reach the classifiers, behind ``expert`` where there is one.
        num_experts: ``E``, at least 1.
        expert: config of the experts' own stage, built ``E`` times; it gets the backbone's last
            output. A feature map is averaged over its pixels before the classifier, so no neck
            is needed, for example ``dict(type='CIFARResNetStage', depth=32, stage=2)`` behind
            ``CIFARResNet(num_stages=2)``. None: the experts are classifiers on shared features;
            linear ones with one loss are then equivalent to a single classifier.
        cosine: cosine classifiers instead of linear ones.
        scale: factor of the cosine classifiers, above 0.
        loss: config of one loss for all, or a list of one for each expert, for example
            ``LogitAdjustedLoss`` with ``tau`` 0, 1 and 2 for experts of different leaning.
        reduction: ``'mean'`` or ``'sum'`` over the experts' losses.
        **kwargs: ``topk``, ``cal_acc``, ``init_cfg`` of ``ClsHead``.

    Raises:
        ValueError: if an option is out of range or the losses are not one or ``E``.

    Reference:
        In the style of RIDE (Wang et al., ICLR 2021) and SADE (Zhang et al., NeurIPS 2022):
        experts, losses and mean only, without routing, diversity loss or test-time aggregation.

    Example:
        >>> head = MultiExpertClsHead(num_classes=5, in_channels=8, num_experts=2)
        >>> head((torch.zeros(3, 8),)).shape
        torch.Size([3, 5])
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        num_experts: int = 3,
        expert: dict[str, Any] | None = None,
        cosine: bool = False,
        scale: float = 30.0,
        loss: Any = dict(type='CrossEntropyLoss'),  # noqa: B006
        reduction: str = 'mean',
        **kwargs: Any,
    ) -> None:
        check_integer('num_experts', num_experts, '[1, inf)')
        if expert is not None:
            check_config(MODELS, 'expert', expert)
        if isinstance(loss, (dict, nn.Module)):
            loss = [loss] * num_experts
        if not isinstance(loss, (list, tuple)) or len(loss) != num_experts:
            raise refuse('loss', f'one loss, or a list of num_experts={num_experts}', loss)
        kwargs['loss'] = _ExpertLosses(build_module('loss', part) for part in loss)
        super().__init__(**check_head_options(num_classes, kwargs))
        self.num_classes, self.in_channels = num_classes, in_channels
        self.num_experts = num_experts
        self.reduction = check_choice('reduction', reduction, ('mean', 'sum'))
        # MMEngine's list passes init_weights on to the experts.
        self.experts = ModuleList(
            nn.Identity() if expert is None else MODELS.build(expert) for _ in range(num_experts)
        )
        self.classifiers = nn.ModuleList(
            build_classifier(in_channels, num_classes, cosine, scale) for _ in range(num_experts)
        )

    def __setattr__(self, name: str, value: Any) -> None:
        # ``SwitchRecipeHook`` puts one loss here.
        if name == 'loss_module' and not isinstance(value, _ExpertLosses):
            value = _ExpertLosses([value] * self.num_experts)
        super().__setattr__(name, value)

    def pre_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """The experts' features ``(N, E, C)`` before their classifiers."""
        return torch.stack([_pooled(expert(feats[-1])) for expert in self.experts], dim=1)

    def expert_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Logits of each expert, ``(E, N, K)``."""
        features = self.pre_logits(feats).unbind(dim=1)
        return torch.stack(
            [classifier(own) for classifier, own in zip(self.classifiers, features, strict=True)]
        )

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Mean logits ``(N, K)`` of the experts."""
        return self.expert_logits(feats).mean(dim=0)

    def loss(
        self, feats: tuple[Tensor, ...], data_samples: list[DataSample], **kwargs: Any
    ) -> dict[str, Tensor]:
        """Losses of a training step.

        Args:
            feats: outputs of backbone or neck, of which the last is used.
            data_samples: ``N`` samples with ``gt_label``, or ``gt_score`` if they are mixed.
            **kwargs: for the losses.

        Returns:
            ``loss_expert0`` ... ``loss_expert{E-1}``, divided by ``E`` if ``reduction`` is
            ``'mean'``, and with ``cal_acc`` the accuracy of the mean logits.
        """
        logits = self.expert_logits(feats)
        if 'gt_score' in data_samples[0]:
            target = torch.stack([sample.gt_score for sample in data_samples])
        else:
            target = hard_labels(self, data_samples)
        share = self.num_experts if self.reduction == 'mean' else 1
        parts = self.loss_module(logits, target, avg_factor=len(data_samples), **kwargs)
        losses = {f'loss_expert{e}': part / share for e, part in enumerate(parts)}
        if self.cal_acc:
            if target.ndim != 1:
                raise ValueError('cal_acc: expected False where images are mixed, got True')
            accuracy = Accuracy.calculate(logits.detach().mean(dim=0), target, topk=self.topk)
            losses.update(
                {
                    f'accuracy_top-{k}': value[0]
                    for k, value in zip(self.topk, accuracy, strict=True)
                }
            )
        return losses


def _pooled(features: Any) -> Tensor:
    if isinstance(features, (tuple, list)):
        features = features[-1]
    return features.flatten(2).mean(dim=2) if features.ndim > 2 else features
