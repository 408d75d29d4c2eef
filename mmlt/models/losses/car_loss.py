"""CAR: any classification loss plus the spectral norm of the weighted confusion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmlt.functional.checks import check_choice, check_flag, check_number, refuse
from mmlt.functional.counts import frequency_weights
from mmlt.functional.targets import check_targets
from mmlt.registry import build_module

from .class_counts_loss import ClassCountsLoss
from .confusion_estimate import ConfusionEstimate

__all__ = ['CAR_SETTINGS', 'CARLoss']

#: What the paper and its released code differ in.
CAR_SETTINGS: dict[str, dict[str, Any]] = {
    'paper': dict(loss_weight=0.5, r0=0.2, normalize_weights=False),
    'released': dict(
        loss_weight=0.3, r0=0.5, normalize_weights=True, start='first_batch', detach_gate=True
    ),
}


@MODELS.register_module()
class CARLoss(ClassCountsLoss):
    r"""Classification loss with the confusion-aware spectral regulariser.

    .. math:: L + \alpha \, \|\operatorname{diag}(\lambda)\,C_t\|_2, \qquad
        \lambda_j = (\pi_j + r_0)^{-1/2}

    It is a loss module, so any MMPretrain head takes it:
    ``head.loss=dict(type='CARLoss', criterion=dict(type='CrossEntropyLoss'))``.
    :class:`mmlt.hooks.LongTailHook` brings the class counts, and shows the parts of the loss in
    the log. While training, each call takes the batch into the confusion estimate, under gradient
    accumulation each partial batch; in evaluation the last norm is added as a constant.

    Args:
        criterion: config or module of the classification loss, ``LogitAdjustedLoss`` and
            ``LDAMLoss`` among others. None: the regulariser alone, for the ``loss_car`` of
            :class:`mmlt.models.ContrastiveClsHead`, which feeds it the unmixed views.
        setting: ``'paper'`` (``loss_weight`` 0.5, ``r0`` 0.2) or ``'released'`` (``loss_weight``
            0.3, ``r0`` 0.5, ``normalize_weights``, ``start='first_batch'``, ``detach_gate``): the
            defaults of all options.
        loss_weight: alpha. The gradient is also multiplied with ``1 - beta``, the share of a
            batch in the estimate.
        r0: smoothing of the class weights; 0 weights the tail most.
        normalize_weights: divide the class weights by their mean.
        num_classes: ``K``; None takes it from the class counts.
        class_counts: ``(K,)``; None waits for the hook.
        **options: ``max_labels`` of :class:`ConfusionEstimate`, and ``beta``, ``margin``,
            ``temperature``, ``absent_classes``, ``start``, ``detach_gate``, ``exact``,
            ``tolerance`` of
            :class:`mmlt.functional.confusion.soft.ConfusionOptions`.

    Raises:
        ValueError: if an option is out of range; in ``forward``, if the class counts are unknown,
            or logits and targets do not fit them.

    Reference:
        CAR (Zhu et al., CVPR 2026). The command of its released code differs from
        the paper by the ``'released'`` setting, and the code decomposes the matrix in every step.

    Example:
        >>> import torch
        >>> loss = CARLoss(dict(type='CrossEntropyLoss'), class_counts=[3, 1])
        >>> float(loss(torch.zeros(1, 2), torch.tensor([0]))) > 0.6931
        True
        >>> sorted(loss.loss_parts)
        ['loss_car', 'loss_cls']
    """

    criterion: Any

    def __init__(
        self,
        criterion: dict | nn.Module | None,
        setting: str = 'paper',
        loss_weight: float | None = None,
        r0: float | None = None,
        normalize_weights: bool | None = None,
        num_classes: int | None = None,
        class_counts: Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        options.update(loss_weight=loss_weight, r0=r0, normalize_weights=normalize_weights)
        given = {name: value for name, value in options.items() if value is not None}
        options = {**CAR_SETTINGS[check_choice('setting', setting, list(CAR_SETTINGS))], **given}
        self.loss_weight = check_number('loss_weight', options.pop('loss_weight'), '[0, inf)')
        self.r0 = check_number('r0', options.pop('r0'), '[0, inf)')
        self.normalize_weights = check_flag('normalize_weights', options.pop('normalize_weights'))
        self.criterion = None if criterion is None else build_module('criterion', criterion)
        self.estimate = ConfusionEstimate(num_classes, **options)
        self.strength = 1.0
        self.loss_parts: dict[str, Tensor] = {}
        if class_counts is not None:
            self.set_class_counts(class_counts)
            if hasattr(self.criterion, 'set_class_counts'):
                self.criterion.set_class_counts(class_counts)

    def set_class_counts(self, class_counts: Sequence[int]) -> None:
        """Take the training images per class, ``(K,)``; the estimate so far is kept."""
        super().set_class_counts(class_counts)
        known = self.estimate.num_classes
        if known not in (None, len(class_counts)):
            raise refuse('class_counts', f'{known} numbers, as num_classes says', class_counts)
        self.estimate.set_row_weights(
            frequency_weights(class_counts, self.r0, self.normalize_weights)
        )

    def set_strength(self, strength: float) -> None:
        """Scale the regulariser (0 = off, 1 = full); the estimate is kept up to date anyway."""
        self.strength = float(strength)

    def forward(
        self,
        cls_score: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """The criterion plus the regulariser; while training, the estimate takes the batch in.

        Args:
            cls_score: ``(N, K)`` logits.
            target: ``(N,)`` integers or ``(N, K)`` scores.
            weight: ``(N,)`` weights of the images, for the criterion.
            avg_factor: for the criterion.
            reduction_override: for the criterion.
            **kwargs: for the criterion.

        Returns:
            Scalar, or ``(N,)`` without reduction, with the regulariser added to each element.
        """
        self.require_class_counts(cls_score)
        target = check_targets('CARLoss.target', target, cls_score)
        loss_car = self.loss_weight * self.strength * self.estimate(cls_score, target)
        if self.criterion is None:
            return loss_car
        loss_cls = self.criterion(
            cls_score,
            target,
            weight=weight,
            avg_factor=avg_factor,
            reduction_override=reduction_override,
            **kwargs,
        )
        self.loss_parts = {'loss_cls': loss_cls.detach().mean(), 'loss_car': loss_car.detach()}
        return loss_cls + loss_car

    def extra_repr(self) -> str:
        return f'loss_weight={self.loss_weight}, r0={self.r0}'
