"""Base of batch augments that mix anchors with partners from a paired loader."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod

import torch
from mmengine.logging import print_log
from torch import Tensor

from mmlt.functional.mixing import cutmix_box, mix_scores, paste_box

from .randomness import SeededBatchAugment, check_batch, check_positive

__all__ = ['PairedBatchAugment', 'PairedCutMix']


class PairedBatchAugment(SeededBatchAugment, ABC):
    """Mixes each anchor with its partner.

    :class:`mmlt.models.PairedDataPreprocessor` calls :meth:`mix`. Called like an MMPretrain batch
    augment it takes ``2N`` images, of which the first half are the anchors. It says so once,
    since MMPretrain's own preprocessor would keep all ``2N`` labels.
    """

    _splitting_said = False

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
            TypeError: if images are not floating point.
            ValueError: if shapes disagree, or class counts are needed and unknown.
        """
        scores = check_batch(images, scores)
        partner_scores = check_batch(partner_images, partner_scores)
        if images.shape != partner_images.shape or scores.shape != partner_scores.shape:
            raise ValueError(
                'partner_images, partner_scores: expected one partner of the same size for each '
                f'anchor, got images {tuple(images.shape)} and {tuple(partner_images.shape)}, '
                f'scores {tuple(scores.shape)} and {tuple(partner_scores.shape)}'
            )
        return self._mix(images, partner_images, scores, partner_scores)

    @abstractmethod
    def _mix(
        self, images: Tensor, partner_images: Tensor, scores: Tensor, partner_scores: Tensor
    ) -> tuple[Tensor, Tensor]:
        """:meth:`mix` for arguments that are checked, with floating-point scores."""

    def __call__(self, images: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Mix the first half of a batch with the second.

        Args:
            images: ``(2N, C, H, W)``: anchors, then their partners.
            scores: ``(2N, K)``.

        Returns:
            Images ``(N, C, H, W)`` and scores ``(N, K)``.

        Raises:
            ValueError: if the batch has an odd size, besides what :meth:`mix` raises.
        """
        scores = check_batch(images, scores)
        self._say_that_it_splits()
        if len(images) % 2:
            raise ValueError(
                f'{type(self).__name__}: expected anchors and as many partners, got a batch of '
                f"{len(images)}. Partners come from sampler=dict(type='PairSampler'), dataset="
                "dict(type='PairedDataset', dataset=...) and data_preprocessor=dict("
                "type='PairedDataPreprocessor')"
            )
        size = len(images) // 2
        return self.mix(images[:size], images[size:], scores[:size], scores[size:])

    def _say_that_it_splits(self) -> None:
        if self._splitting_said:
            return
        self._splitting_said = True
        print_log(
            f'{type(self).__name__}: without data_preprocessor=dict(type='
            "'PairedDataPreprocessor') the second half of a batch is taken for the partners of "
            "the first, and half as many images come back. MMPretrain's own preprocessor keeps "
            'the labels of all, and the loss then fails.',
            logger='current',
            level=logging.WARNING,
        )


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
