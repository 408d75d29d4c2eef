"""Balanced contrastive loss as a module of MMPretrain."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmlt.functional.contrastive import balanced_contrastive_loss
from mmlt.functional.distributed import gather_with_grad

__all__ = ['BalancedContrastiveLoss']


@MODELS.register_module()
class BalancedContrastiveLoss(nn.Module):
    """:func:`~mmlt.functional.contrastive.balanced_contrastive_loss` over all ranks.

    Embeddings and targets are gathered over ranks with gradient, so that loss and averaged
    gradients on W ranks equal one process with the whole batch.

    Args:
        temperature: positive; 0.07 for ImageNet-LT and iNaturalist, 0.1 for CIFAR.
        normalize: bring embeddings and prototypes to unit length first, in float32.
        loss_weight: factor on the result; 0.35 for ImageNet-LT and iNaturalist, 0.6 for CIFAR.
        equal_batch_sizes: all ranks have batches of one size (no host synchronisation); False
            exchanges the sizes first, for samplers with ``round_up=False``.

    Raises:
        ValueError: if the temperature is not positive.

    Reference:
        Zhu et al., Balanced Contrastive Learning, CVPR 2022.

    Example:
        >>> loss = BalancedContrastiveLoss(temperature=1.0)
        >>> views = torch.eye(2)[:, None].repeat(1, 2, 1)
        >>> loss(views, torch.tensor([0, 1]), torch.eye(2))
        tensor(0.3133)
    """

    def __init__(
        self,
        temperature: float = 0.1,
        normalize: bool = True,
        loss_weight: float = 1.0,
        equal_batch_sizes: bool = True,
    ) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f'temperature: expected a positive number, got {temperature}')
        self.temperature, self.normalize, self.loss_weight = temperature, normalize, loss_weight
        self.equal_batch_sizes = equal_batch_sizes

    def forward(self, embeddings: Tensor, targets: Tensor, prototypes: Tensor) -> Tensor:
        """The loss.

        Args:
            embeddings: ``(N, V, D)`` with ``V >= 2`` views of this rank's images, the same ``N``
                on every rank unless ``equal_batch_sizes`` is False.
            targets: ``(N,)`` integer classes.
            prototypes: ``(K, D)``, equal on every rank.

        Returns:
            Scalar, the same on every rank.
        """
        embeddings = gather_with_grad(self._prepare(embeddings), self.equal_batch_sizes)
        targets = gather_with_grad(targets, self.equal_batch_sizes)
        return self.loss_weight * balanced_contrastive_loss(
            embeddings, targets, self._prepare(prototypes), self.temperature
        )

    def _prepare(self, vectors: Tensor) -> Tensor:
        if not self.normalize:
            return vectors
        with torch.autocast(vectors.device.type, enabled=False):
            wide = vectors if vectors.dtype == torch.float64 else vectors.float()
            return F.normalize(wide, dim=-1)

    def extra_repr(self) -> str:
        return f'temperature={self.temperature}, loss_weight={self.loss_weight}'
