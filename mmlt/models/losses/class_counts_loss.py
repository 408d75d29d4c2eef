"""What the losses share: class counts, class weights, and the arguments that heads pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from mmpretrain.models.losses.utils import weight_reduce_loss
from torch import Tensor, nn

from mmlt.functional.checks import check_choice, check_number, check_numbers, refuse
from mmlt.functional.counts import effective_number_weights, validate_class_counts
from mmlt.functional.targets import check_targets

__all__ = ['ClassCountsLoss', 'ClassificationLoss']


class ClassCountsLoss(nn.Module):
    """A loss that gets the training images per class, from :class:`mmlt.hooks.LongTailHook`.

    The counts, and what a loss derives from them, are plain attributes: the checkpoint holds the
    counts once, in its ``dataset_meta``. They are no buffers, since ``EMAHook`` pairs the buffers
    of two models by position, and the counts reach one of them only. They move to the device of
    the first logits that they meet.
    """

    #: Names of the tensors that follow from the counts.
    derived: tuple[str, ...] = ('class_counts',)

    class_counts: Tensor | None = None

    def set_class_counts(self, class_counts: Sequence[int]) -> None:
        """Take the training images per class, ``(K,)``."""
        self.class_counts = validate_class_counts(class_counts)

    def require_class_counts(self, cls_score: Tensor) -> None:
        """Bring the counts to the logits ``(..., K)``; ``ValueError`` if they do not fit."""
        if self.class_counts is None:
            raise ValueError(
                'class_counts: expected (K,) images per class before '
                f'{type(self).__name__} is called, got None; '
                "add default_hooks = dict(long_tail=dict(type='LongTailHook')), or pass them"
            )
        if self.class_counts.numel() != cls_score.shape[-1]:
            raise ValueError(
                f'cls_score: expected logits of {self.class_counts.numel()} classes, as in the '
                f'training data, got {cls_score.shape[-1]}; set num_classes of the head'
            )
        for name in self.derived:
            tensor = getattr(self, name)
            if tensor is not None and tensor.device != cls_score.device:
                setattr(self, name, tensor.to(cls_score.device))


class ClassificationLoss(ClassCountsLoss, ABC):
    """A cross-entropy with class weights, as any MMPretrain head calls it.

    Args:
        class_weight: ``(K,)`` fixed weights, ``'effective_number'`` for class-balanced weights
            (beta 0.9999), or None.
        reduction: ``'mean'``, ``'sum'`` or ``'none'``.
        loss_weight: factor on the result.
    """

    derived: tuple[str, ...] = ('class_counts', 'class_weight')

    class_weight: Tensor | None = None

    def __init__(
        self, class_weight: Sequence[float] | str | None, reduction: str, loss_weight: float
    ) -> None:
        super().__init__()
        self.reduction = check_choice('reduction', reduction, ('mean', 'sum', 'none'))
        self.loss_weight = check_number('loss_weight', loss_weight, '[0, inf)')
        self._effective_number = isinstance(class_weight, str)
        if isinstance(class_weight, str):
            if class_weight != 'effective_number':
                raise refuse('class_weight', "(K,) numbers or 'effective_number'", class_weight)
        elif class_weight is not None:
            weights = check_numbers('class_weight', class_weight, '[0, inf)')
            if not any(weights):
                raise refuse('class_weight', 'a weight above 0', class_weight)
            self.set_class_weight(torch.tensor(weights))

    def set_class_counts(self, class_counts: Sequence[int]) -> None:
        """Take the training images per class, ``(K,)``, and derive what follows from them."""
        super().set_class_counts(class_counts)
        if self._effective_number:
            self.set_class_weight(effective_number_weights(class_counts))
        elif self.class_weight is not None and len(self.class_weight) != len(class_counts):
            expected = f'{len(class_counts)} numbers, as many as class_counts'
            raise refuse('class_weight', expected, self.class_weight.tolist())

    @property
    def weights_by_frequency(self) -> bool:
        """Whether classes weigh differently."""
        weight = self.class_weight
        return self._effective_number or (weight is not None and bool((weight != weight[0]).any()))

    def set_class_weight(self, class_weight: Tensor | None) -> None:
        """Take class weights ``(K,)``, or None for none."""
        self.class_weight = None if class_weight is None else class_weight.float()

    def forward(
        self,
        cls_score: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
        **kwargs: object,
    ) -> Tensor:
        """The loss.

        Args:
            cls_score: ``(N, K)`` logits.
            target: ``(N,)`` integers or ``(N, K)`` scores.
            weight: ``(N,)`` weights of the images.
            avg_factor: what the sum is divided by instead of ``N``; of no effect with class
                weights and without ``weight``, since that mean is divided by the weights.
            reduction_override: replaces ``reduction`` for this call.

        Returns:
            Scalar, or ``(N,)`` without reduction.
        """
        del kwargs
        self.require_class_counts(cls_score)
        target = check_targets(f'{type(self).__name__}.target', target, cls_score)
        logits = cls_score.to(torch.promote_types(cls_score.dtype, torch.float32))
        reduction = reduction_override or self.reduction
        if weight is None and (avg_factor is None or self.class_weight is not None):
            return self.loss_weight * self._cross_entropy(logits, target, reduction)
        losses = self._cross_entropy(logits, target, 'none')
        return self.loss_weight * weight_reduce_loss(losses, weight, reduction, avg_factor)

    @abstractmethod
    def _cross_entropy(self, logits: Tensor, target: Tensor, reduction: str) -> Tensor:
        """The loss with ``class_weight``; ``logits (N, K)`` are at least float32."""
