"""LDAM as a loss module of MMPretrain."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmlt.functional.ldam import ldam_cross_entropy, ldam_margins

from .class_counts_mixin import ClassCountsMixin

__all__ = ['LDAMLoss']


@MODELS.register_module()
class LDAMLoss(ClassCountsMixin, nn.Module):
    r"""Label-distribution-aware margin loss, for :class:`CosineClsHead`.

    Args:
        max_margin: margin of the rarest class, in units of a cosine.
        scale: inverse temperature of the softmax.
        logit_scale: what the head has already multiplied the cosines with. 1 for bare cosines
            (the released code); a head with ``scale=30`` whose predicted scores shall be
            calibrated takes 30 here.
        class_weight: ``(K,)``, ``'effective_number'``, or None; deferred re-weighting sets it by
            :class:`mmlt.hooks.DeferredReweightingHook`.
        class_counts: ``(K,)``; None waits for :class:`mmlt.hooks.ClassCountsHook`.
        reduction: ``'mean'``, ``'sum'`` or ``'none'``.
        loss_weight: factor on the result.

    Raises:
        ValueError: if a class has no training image; in ``forward``, if no counts have arrived.

    Reference:
        Cao et al., NeurIPS 2019, eq. 12 and 13.

    Example:
        >>> loss = LDAMLoss(scale=1.0, class_counts=[16, 1])
        >>> loss(torch.zeros(1, 2), torch.tensor([1]))
        tensor(0.9741)
    """

    derived = (*ClassCountsMixin.derived, 'margins')

    margins: Tensor | None

    def __init__(
        self,
        max_margin: float = 0.5,
        scale: float = 30.0,
        logit_scale: float = 1.0,
        class_weight: Sequence[float] | str | None = None,
        class_counts: Sequence[int] | None = None,
        reduction: str = 'mean',
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        for name, value in (('scale', scale), ('logit_scale', logit_scale)):
            if value <= 0:
                raise ValueError(f'{name}: expected a positive number, got {value}')
        if reduction not in ('mean', 'sum', 'none'):
            raise ValueError(f"reduction: expected 'mean', 'sum' or 'none', got {reduction!r}")
        self.max_margin, self.scale, self.logit_scale = max_margin, scale, logit_scale
        self.reduction, self.loss_weight = reduction, loss_weight
        self.init_class_counts(class_counts, class_weight)

    def set_class_counts(self, class_counts: Sequence[int]) -> None:
        """Take the training images per class, ``(K,)``, and derive the margins."""
        super().set_class_counts(class_counts)
        self.margins = ldam_margins(self.class_counts, self.max_margin).float()

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
            cls_score: ``(N, K)``, cosines times ``logit_scale``.
            target: ``(N,)`` integers or ``(N, K)`` scores.
            weight: ``(N,)`` weights of the images.
            avg_factor: what the sum is divided by instead of ``N``; of no effect with class
                weights and hard targets, whose mean is weighted.
            reduction_override: replaces ``reduction`` for this call.

        Returns:
            Scalar, or ``(N,)`` without reduction.
        """
        del kwargs
        self.require_class_counts(cls_score)
        cosines = cls_score if cls_score.dtype == torch.float64 else cls_score.float()
        cosines = cosines / self.logit_scale
        class_weight = None if self.class_weight is None else self.class_weight.to(cosines.dtype)
        loss = self.reduce(
            lambda how: ldam_cross_entropy(
                cosines, target, self.margins, self.scale, class_weight, how
            ),
            weight,
            avg_factor,
            reduction_override or self.reduction,
        )
        return self.loss_weight * loss
