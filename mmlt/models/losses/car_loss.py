"""CAR: any classification loss plus the spectral norm of the weighted confusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmlt.functional.counts import frequency_weights
from mmlt.models.losses.confusion_estimate import ConfusionEstimate

from .class_counts_mixin import ClassCountsMixin

__all__ = ['CAR_SETTINGS', 'CARLoss', 'CARSettings']


@dataclass(frozen=True)
class CARSettings:
    """Everything about CAR that papers and code differ in; the defaults are the paper's.

    Args:
        loss_weight: alpha.
        uncouple_weight: divide alpha by ``1 - beta``, which the gradient is multiplied with.
        beta: memory of the confusion estimate, in ``[0, 1)``.
        r0: smoothing of the class weights ``(prior + r0) ** -0.5``; 0 weights the tail most.
        normalize_weights: divide the class weights by their mean.
        margin: added inside the sigmoid of the confusion.
        temperature: of its softmax.
        absent_classes: ``'decay'`` or ``'hold'``: rows of classes that are not in the batch.
        start: ``'zero'`` or ``'first_batch'``.
        detach_gate: no gradient through the sigmoid.
        detach_baseline: no gradient through what the softmax subtracts, as in the released code;
            of no effect, since a softmax does not change when it is shifted.

    Example:
        >>> CAR_SETTINGS['released'].detach_gate
        True
    """

    loss_weight: float = 0.5
    uncouple_weight: bool = False
    beta: float = 0.5
    r0: float = 0.2
    normalize_weights: bool = False
    margin: float = 0.0
    temperature: float = 1.0
    absent_classes: str = 'decay'
    start: str = 'zero'
    detach_gate: bool = False
    detach_baseline: bool = False


CAR_SETTINGS = {
    'paper': CARSettings(),
    'released': CARSettings(
        loss_weight=0.3,
        r0=0.5,
        normalize_weights=True,
        start='first_batch',
        detach_gate=True,
        detach_baseline=True,
    ),
}


@MODELS.register_module()
class CARLoss(ClassCountsMixin, nn.Module):
    r"""Classification loss with the confusion-aware spectral regulariser.

    .. math:: L + \alpha \, \|\operatorname{diag}(\lambda)\,C_t\|_2, \qquad
        \lambda_j = (\pi_j + r_0)^{-1/2}

    It is a loss module, so any MMPretrain head takes it:
    ``head.loss=dict(type='CARLoss', criterion=dict(type='CrossEntropyLoss'))``. The class counts
    come from :class:`mmlt.hooks.ClassCountsHook`; the parts of the loss are shown in the log by
    :class:`mmlt.hooks.TrainingProgressHook`. While training, each call takes the batch into the
    confusion estimate, under gradient accumulation each partial batch; in evaluation the last
    norm is added as a constant.

    Args:
        criterion: config or module of the classification loss, ``LogitAdjustedLoss`` and
            ``LDAMLoss`` among others. None: the regulariser alone, for the ``loss_car`` of
            :class:`mmlt.models.ContrastiveClsHead`, which feeds it the unmixed views.
        setting: ``'paper'`` or ``'released'``: what every option that is None stands at, see
            :class:`CARSettings`.
        loss_weight, uncouple_weight, beta, r0, normalize_weights, margin, temperature,
            absent_classes, start, detach_gate, detach_baseline: see :class:`CARSettings`.
        num_classes: ``K``; None takes it from the class counts.
        class_counts: ``(K,)``; None waits for the hook.
        max_labels: labels kept of an image with soft targets; 2 is exact for mixup and CutMix.
        equal_batch_sizes: all ranks have batches of one size (no host synchronisation).
        exact: singular value decomposition in every step, for small ``K``.
        max_steps: Lanczos steps, see :func:`mmlt.functional.spectral_norm`.

    Raises:
        ValueError: if an option is out of range; in ``forward``, if the class counts are unknown,
            or logits and targets do not fit them.

    Reference:
        CAR (Zhu et al., CVPR 2026). Its released code differs from the paper by the
        ``'released'`` setting, and decomposes the matrix in every step.

    Example:
        >>> import torch
        >>> loss = CARLoss(dict(type='CrossEntropyLoss'), class_counts=[3, 1])
        >>> float(loss(torch.zeros(1, 2), torch.tensor([0]))) > 0.6931
        True
        >>> sorted(loss.loss_parts)
        ['loss_car', 'loss_cls']
    """

    def __init__(
        self,
        criterion: dict | nn.Module | None,
        setting: str = 'paper',
        loss_weight: float | None = None,
        uncouple_weight: bool | None = None,
        beta: float | None = None,
        r0: float | None = None,
        normalize_weights: bool | None = None,
        margin: float | None = None,
        temperature: float | None = None,
        absent_classes: str | None = None,
        start: str | None = None,
        detach_gate: bool | None = None,
        detach_baseline: bool | None = None,
        num_classes: int | None = None,
        class_counts: Sequence[int] | None = None,
        max_labels: int = 2,
        equal_batch_sizes: bool = True,
        exact: bool = False,
        max_steps: int | None = None,
    ) -> None:
        super().__init__()
        if setting not in CAR_SETTINGS:
            raise ValueError(f'setting: expected one of {sorted(CAR_SETTINGS)}, got {setting!r}')
        given = dict(
            loss_weight=loss_weight,
            uncouple_weight=uncouple_weight,
            beta=beta,
            r0=r0,
            normalize_weights=normalize_weights,
            margin=margin,
            temperature=temperature,
            absent_classes=absent_classes,
            start=start,
            detach_gate=detach_gate,
            detach_baseline=detach_baseline,
        )
        self.settings = replace(
            CAR_SETTINGS[setting],
            **{name: value for name, value in given.items() if value is not None},
        )
        if not self.settings.loss_weight >= 0:
            raise ValueError(
                f'loss_weight: expected a number of at least 0, got {self.settings.loss_weight}'
            )
        if self.settings.r0 < 0:
            raise ValueError(f'r0: expected a number of at least 0, got {self.settings.r0}')
        self.criterion = MODELS.build(criterion) if isinstance(criterion, dict) else criterion
        self.estimate = ConfusionEstimate(
            num_classes,
            max_labels,
            equal_batch_sizes,
            exact=exact,
            max_steps=max_steps,
            **{
                name: getattr(self.settings, name)
                for name in (
                    'beta',
                    'margin',
                    'temperature',
                    'absent_classes',
                    'start',
                    'detach_gate',
                    'detach_baseline',
                )
            },
        )
        self.strength = 1.0
        self.loss_parts: dict[str, Tensor] = {}
        self.init_class_counts(class_counts, None)
        if class_counts is not None and hasattr(self.criterion, 'set_class_counts'):
            self.criterion.set_class_counts(class_counts)

    def set_class_counts(self, class_counts: Sequence[int]) -> None:
        """Take the training images per class, ``(K,)``; the estimate so far is kept."""
        super().set_class_counts(class_counts)
        self.estimate.set_row_weights(
            frequency_weights(self.class_counts, self.settings.r0, self.settings.normalize_weights)
        )

    def set_strength(self, strength: float) -> None:
        """Scale the regulariser (0 = off, 1 = full); the estimate is kept up to date anyway."""
        self.strength = float(strength)

    def regularizer(self, cls_score: Tensor, target: Tensor) -> Tensor:
        """The regulariser alone, weighted; takes the batch into the estimate while training.

        Args:
            cls_score: ``(N, K)`` logits.
            target: ``(N,)`` integers or ``(N, K)`` scores.

        Returns:
            Scalar.
        """
        self.require_class_counts(cls_score)
        weight = self.settings.loss_weight * self.strength
        if self.settings.uncouple_weight:
            weight /= 1 - self.settings.beta
        return weight * self.estimate(cls_score, target)

    def forward(
        self,
        cls_score: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """The criterion plus the regulariser.

        Args:
            cls_score: ``(N, K)`` logits.
            target: ``(N,)`` integers or ``(N, K)`` scores.
            weight: ``(N,)`` weights of the images, for the criterion.
            avg_factor: for the criterion.
            reduction_override: for the criterion; the regulariser is a scalar and is added to
                each element where there is no reduction.

        Returns:
            Scalar, or ``(N,)`` without reduction.
        """
        loss_car = self.regularizer(cls_score, target)
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
        return str(self.settings)
