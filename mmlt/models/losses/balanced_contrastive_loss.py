"""Balanced contrastive loss as a module of MMPretrain."""

from __future__ import annotations

from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmlt.functional.checks import check_number
from mmlt.functional.contrastive import balanced_contrastive_loss, unit_vectors
from mmlt.functional.distributed import gather_with_grad
from mmlt.functional.targets import check_classes

__all__ = ['BalancedContrastiveLoss']


@MODELS.register_module()
class BalancedContrastiveLoss(nn.Module):
    """:func:`~mmlt.functional.contrastive.balanced_contrastive_loss` over all ranks.

    Embeddings and targets are gathered over ranks with gradient, so that loss and averaged
    gradients on W ranks equal one process with the whole batch. Embeddings and prototypes are
    brought to unit length first, in float32.

    Args:
        temperature: positive; 0.07 for ImageNet-LT and iNaturalist, 0.1 for CIFAR.
        loss_weight: factor on the result; 0.35 for ImageNet-LT and iNaturalist, 0.6 for CIFAR.

    Raises:
        ValueError: if an option is out of range.

    Reference:
        Zhu et al., Balanced Contrastive Learning, CVPR 2022.

    Example:
        >>> import torch
        >>> loss = BalancedContrastiveLoss(temperature=1.0)
        >>> views = torch.eye(2)[:, None].repeat(1, 2, 1)
        >>> loss(views, torch.tensor([0, 1]), torch.eye(2))
        tensor(0.3133)
    """

    def __init__(self, temperature: float = 0.1, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.temperature = check_number('temperature', temperature, '(0, inf)')
        self.loss_weight = check_number('loss_weight', loss_weight, '[0, inf)')

    def forward(self, embeddings: Tensor, targets: Tensor, prototypes: Tensor) -> Tensor:
        """The loss.

        Args:
            embeddings: ``(N, V, D)`` with ``V >= 2`` views of this rank's images; ``N`` is the
                same on every rank.
            targets: ``(N,)`` integer classes.
            prototypes: ``(K, D)``, equal on every rank.

        Returns:
            Scalar, the same on every rank.
        """
        targets = check_classes('BalancedContrastiveLoss.targets', targets, len(prototypes))
        embeddings = gather_with_grad(unit_vectors(embeddings), equal_sizes=True)
        targets = gather_with_grad(targets, equal_sizes=True)
        return self.loss_weight * balanced_contrastive_loss(
            embeddings, targets, unit_vectors(prototypes), self.temperature
        )

    def extra_repr(self) -> str:
        return f'temperature={self.temperature}, loss_weight={self.loss_weight}'
