"""Base of batch augments that mix anchors with partners from a paired loader."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from mmlt.functional.checks import check_number, refuse
from mmlt.functional.mixing import cutmix_box, mixup, paste_box

from .randomness import SeededBatchAugment, check_batch

__all__ = ['PairedBatchAugment', 'PairedCutMix']


class PairedBatchAugment(SeededBatchAugment, ABC):
    """Mixes each anchor with its partner, which :class:`mmlt.models.PairedDataPreprocessor` brings.

    Whether a batch is mixed is decided where partners are drawn, by ``PairBatchSampler(prob=...)``.
    """

    #: Whether it can also be called without partners, to mix within a batch.
    mixes_within_batch = False

    def mix(
        self, images: Tensor, partner_images: Tensor, scores: Tensor, partner_scores: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mix a batch with its partners; no argument is changed.

        Args:
            images: ``(N, C, H, W)`` anchors, normalised.
            partner_images: ``(N, C, H, W)``.
            scores: ``(N, K)`` labels of the anchors, one-hot or soft.
            partner_scores: ``(N, K)``.

        Returns:
            Images ``(N, C, H, W)`` and scores ``(N, K)``.

        Raises:
            OptionError: if images are not floating point, or shapes disagree.
            ValueError: if nobody has said where the run is, or class counts are needed and unknown.
        """
        scores = check_batch(images, scores)
        partner_scores = check_batch(partner_images, partner_scores)
        if images.shape != partner_images.shape or scores.shape != partner_scores.shape:
            raise refuse(
                'partner_images, partner_scores',
                f'the shapes {tuple(images.shape)} and {tuple(scores.shape)} of the anchors',
                (tuple(partner_images.shape), tuple(partner_scores.shape)),
            )
        return self._mix(images, partner_images, scores, partner_scores)

    @abstractmethod
    def _mix(
        self, images: Tensor, partner_images: Tensor, scores: Tensor, partner_scores: Tensor
    ) -> tuple[Tensor, Tensor]:
        """:meth:`mix` for arguments that are checked, with floating-point scores."""

    def __call__(self, images: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Called for a batch without partners: not possible.

        Raises:
            ValueError: naming the three parts that bring partners.
        """
        raise ValueError(
            f'{type(self).__name__}: expected partners to mix with, got a batch without; they come '
            "from train_dataloader = dict(sampler=dict(type='PairSampler'), "
            "batch_sampler=dict(type='PairBatchSampler')), "
            "dataset=dict(type='PairedDataset', dataset=...) and "
            "data_preprocessor = dict(type='PairedDataPreprocessor')"
        )


class PairedCutMix(PairedBatchAugment):
    r"""Pastes a box of the partner (foreground) into the anchor (background).

    One box for the whole batch, on all ranks: :math:`\lambda` from Beta(alpha, alpha), the centre
    uniform over the pixels. The label follows the area of the clipped box.

    Args:
        alpha: of the Beta distribution, positive; 1 is uniform.

    Raises:
        OptionError: if ``alpha`` is not positive.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = check_number('alpha', alpha, '(0, inf)')

    def _mix(
        self, images: Tensor, partner_images: Tensor, scores: Tensor, partner_scores: Tensor
    ) -> tuple[Tensor, Tensor]:
        rng = self.rng()
        height, width = images.shape[-2:]
        lam = float(rng.beta(self.alpha, self.alpha))
        centre = int(rng.integers(height)), int(rng.integers(width))
        box, lam = cutmix_box(height, width, lam, centre)
        weight = torch.full((len(scores),), lam, dtype=torch.float64, device=scores.device)
        return paste_box(images, partner_images, box), mixup(scores, partner_scores, weight)
