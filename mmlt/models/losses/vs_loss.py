"""Vector scaling: a factor for each logit beside the offset of logit adjustment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmpretrain.registry import MODELS
from torch import Tensor

from mmlt.functional.checks import check_number
from mmlt.functional.logit_adjustment import scaling_factors

from .logit_adjusted_loss import LogitAdjustedLoss

__all__ = ['VSLoss']


@MODELS.register_module()
class VSLoss(LogitAdjustedLoss):
    r"""Vector-scaling loss: cross-entropy of ``factor * logits + tau * log(prior)``.

    The factor of a class is :math:`(n_k / n_{max})^\gamma`. Late in training, when every training
    image is classified right, offsets no longer move the decision boundary, and factors still do:
    the logits of a rare class have to grow larger. Test uses the bare logits.

    Args:
        tau: strength of the offset; 1.25 for CIFAR-10-LT, 0.75 for CIFAR-100-LT in the paper.
        gamma: exponent of the factor, at least 0 (logit adjustment); 0.15 and 0.05 there.
        **kwargs: other options of :class:`LogitAdjustedLoss`.

    Raises:
        ValueError: for an option that is out of range; in ``forward``, if no class counts have
            arrived.

    Reference:
        Kini et al., Label-Imbalanced and Group-Sensitive Classification under
        Overparameterization, NeurIPS 2021, eq. 3.

    Example:
        >>> import torch
        >>> loss = VSLoss(tau=0.0, gamma=0.5, class_counts=[4, 1])
        >>> loss(torch.tensor([[0.0, 2.0]]), torch.tensor([1]))
        tensor(0.3133)
    """

    derived = (*LogitAdjustedLoss.derived, 'factors')

    factors: Tensor

    def __init__(self, tau: float = 1.25, gamma: float = 0.15, **kwargs: Any) -> None:
        self.gamma = check_number('gamma', gamma, '[0, inf)')
        super().__init__(tau=tau, **kwargs)

    def set_class_counts(self, class_counts: Sequence[int]) -> None:
        """Take the training images per class, ``(K,)``, and derive the factors."""
        super().set_class_counts(class_counts)
        self.factors = scaling_factors(class_counts, self.gamma, self.empty_classes).float()

    def _scaled(self, logits: Tensor) -> Tensor:
        return logits * self.factors.to(logits.dtype)

    def extra_repr(self) -> str:
        return f'{super().extra_repr()}, gamma={self.gamma}'
