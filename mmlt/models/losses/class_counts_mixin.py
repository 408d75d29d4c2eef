"""How a loss receives class counts and class weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from mmpretrain.models.losses.utils import weight_reduce_loss
from torch import Tensor

from mmlt.functional.checks import refuse
from mmlt.functional.counts import effective_number_weights, validate_class_counts

__all__ = ['REDUCTIONS', 'ClassCountsMixin']

REDUCTIONS = ('mean', 'sum', 'none')


class ClassCountsMixin:
    """Adds ``set_class_counts`` and ``set_class_weight`` to a loss module.

    Both values, and what a loss derives from them, are plain attributes: hooks bring them from
    the training data, and the checkpoint holds the counts once, in its ``dataset_meta``. They are
    no buffers, since ``EMAHook`` pairs the buffers of two models by position, and the counts
    reach one of them only. They move to the device of the first logits that they meet.
    """

    #: Names of the tensors that follow from the counts.
    derived: tuple[str, ...] = ('class_counts', 'class_weight')

    class_counts: Tensor | None
    class_weight: Tensor | None

    def init_class_counts(
        self, class_counts: Sequence[int] | None, class_weight: Sequence[float] | str | None
    ) -> None:
        """Take the options; call it once, at the end of ``__init__``.

        Args:
            class_counts: ``(K,)``, or None to wait for :class:`mmlt.hooks.LongTailHook`.
            class_weight: ``(K,)`` fixed weights, ``'effective_number'`` for class-balanced
                weights (beta 0.9999), or None.
        """
        for name in self.derived:
            setattr(self, name, None)
        if isinstance(class_weight, str) and class_weight != 'effective_number':
            raise refuse('class_weight', "(K,) numbers or 'effective_number'", class_weight)
        self._weighting = class_weight if isinstance(class_weight, str) else None
        if class_weight is not None and self._weighting is None:
            self.set_class_weight(torch.as_tensor(class_weight))
        if class_counts is not None:
            self.set_class_counts(class_counts)

    def set_class_counts(self, class_counts: Sequence[int]) -> None:
        """Take the training images per class, ``(K,)``."""
        self.class_counts = validate_class_counts(class_counts)
        if self._weighting == 'effective_number':
            self.set_class_weight(effective_number_weights(self.class_counts))

    def set_class_weight(self, class_weight: Tensor | None) -> None:
        """Take class weights ``(K,)``, or None for none."""
        self.class_weight = None if class_weight is None else class_weight.float()

    def require_class_counts(self, cls_score: Tensor) -> None:
        """Bring the counts to the logits, or say where they come from.

        Args:
            cls_score: ``(..., K)`` logits.

        Raises:
            ValueError: if the counts are unknown or belong to another number of classes.
        """
        name = type(self).__name__
        if self.class_counts is None:
            raise ValueError(
                f'class_counts: expected (K,) images per class before {name} is called, got None; '
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

    def reduce(
        self,
        cross_entropy: Callable[[Tensor | None, str], Tensor],
        weight: Tensor | None,
        avg_factor: float | None,
        reduction: str,
    ) -> Tensor:
        """Apply the arguments that MMPretrain's heads pass to a loss.

        Args:
            cross_entropy: gives the loss for class weights ``(K,)`` or None, and a reduction. With
                class weights its mean is divided by those of the targets.
            weight: ``(N,)`` weights of the images, or None.
            avg_factor: what the sum is divided by instead of ``N``, or None; of no effect with
                class weights and without ``weight``.
            reduction: ``'mean'``, ``'sum'`` or ``'none'``.
        """
        if weight is None and (avg_factor is None or self.class_weight is not None):
            return cross_entropy(self.class_weight, reduction)
        losses = cross_entropy(self.class_weight, 'none')
        return weight_reduce_loss(losses, weight, reduction, avg_factor)
