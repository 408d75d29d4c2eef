"""Base of batch augments that mix anchors with partners from a paired loader."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from mmlt.functional.checks import refuse

from .randomness import SeededBatchAugment, check_batch

__all__ = ['PairedBatchAugment']


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
            ValueError: if seed and iteration are unknown, or class counts are needed and unknown.
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
        """``ValueError`` that names the parts which bring partners."""
        raise ValueError(
            f'{type(self).__name__}: expected partners to mix with, got a batch without; they come '
            "from train_dataloader = dict(sampler=dict(type='PairSampler'), "
            "batch_sampler=dict(type='PairBatchSampler')), "
            "dataset=dict(type='PairedDataset', dataset=...) and "
            "data_preprocessor = dict(type='PairedDataPreprocessor')"
        )
