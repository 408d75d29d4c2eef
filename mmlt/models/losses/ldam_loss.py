"""LDAM as a loss module of MMPretrain."""

from __future__ import annotations

from collections.abc import Sequence

from mmpretrain.registry import MODELS
from torch import Tensor

from mmlt.functional.checks import check_number
from mmlt.functional.ldam import ldam_cross_entropy, ldam_margins

from .class_counts_loss import ClassificationLoss

__all__ = ['LDAMLoss']


@MODELS.register_module()
class LDAMLoss(ClassificationLoss):
    r"""Label-distribution-aware margin loss, for :class:`CosineClsHead`.

    Args:
        max_margin: margin of the rarest class, in units of a cosine.
        scale: inverse temperature of the softmax.
        logit_scale: what the head has already multiplied the cosines with. 1 for bare cosines
            (the released code); a head with ``scale=30`` whose predicted scores shall be
            calibrated takes 30 here.
        class_weight: ``(K,)``, ``'effective_number'``, or None; deferred re-weighting sets it by
            :class:`mmlt.hooks.DeferredReweightingHook`. The mean of a batch is divided as that of
            :class:`LogitAdjustedLoss`.
        class_counts: ``(K,)``; None waits for :class:`mmlt.hooks.LongTailHook`.
        reduction: ``'mean'``, ``'sum'`` or ``'none'``.
        loss_weight: factor on the result.

    Raises:
        ValueError: if an option is out of range or a class has no training image; in
            ``forward``, if no counts have arrived.

    Reference:
        Cao et al., NeurIPS 2019, eq. 12 and 13.

    Example:
        >>> import torch
        >>> loss = LDAMLoss(scale=1.0, class_counts=[16, 1])
        >>> loss(torch.zeros(1, 2), torch.tensor([1]))
        tensor(0.9741)
    """

    derived = (*ClassificationLoss.derived, 'margins')

    margins: Tensor

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
        super().__init__(class_weight, reduction, loss_weight)
        self.max_margin = check_number('max_margin', max_margin, '[0, inf)')
        self.scale = check_number('scale', scale, '(0, inf)')
        self.logit_scale = check_number('logit_scale', logit_scale, '(0, inf)')
        if class_counts is not None:
            self.set_class_counts(class_counts)

    def set_class_counts(self, class_counts: Sequence[int]) -> None:
        """Take the training images per class, ``(K,)``, and derive the margins."""
        super().set_class_counts(class_counts)
        self.margins = ldam_margins(class_counts, self.max_margin).float()

    def _cross_entropy(self, logits: Tensor, target: Tensor, reduction: str) -> Tensor:
        cosines = logits / self.logit_scale
        return ldam_cross_entropy(
            cosines, target, self.margins, self.scale, self.class_weight, reduction
        )
