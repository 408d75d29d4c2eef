"""CutMix of anchors with partners: the mechanics of ConCutMix and CMO."""

from __future__ import annotations

import torch
from torch import Tensor

from mmlt.functional.mixing import cutmix_box, mix_scores, paste_box

from .paired import PairedBatchAugment
from .seeded import check_positive

__all__ = ['PairedCutMix']


class PairedCutMix(PairedBatchAugment):
    """Pastes a box of the partner (foreground) into the anchor (background).

    One box for the whole batch, on all ranks: lambda from Beta(alpha, alpha), the centre uniform
    over the pixels. The label follows the area of the clipped box.

    Args:
        alpha: of the Beta distribution; 1 is uniform.

    Raises:
        ValueError: if ``alpha`` is not positive.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = check_positive('alpha', alpha)

    def _mix(
        self, images: Tensor, partner_images: Tensor, scores: Tensor, partner_scores: Tensor
    ) -> tuple[Tensor, Tensor]:
        rng = self.rng()
        height, width = images.shape[-2:]
        lam = float(rng.beta(self.alpha, self.alpha))
        centre = int(rng.integers(height)), int(rng.integers(width))
        box, lam = cutmix_box(height, width, lam, centre)
        weight = torch.full((len(scores),), lam, dtype=torch.float64, device=scores.device)
        return (paste_box(images, partner_images, box), mix_scores(scores, partner_scores, weight))
