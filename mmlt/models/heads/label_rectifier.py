"""From which epoch on, and by what, the labels of mixed images are rectified (ConCutMix).

The area of a pasted box says little about what it shows. Once the features are good enough, the
nearest class prototypes say more.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmlt.functional.checks import check_integer, check_number
from mmlt.functional.counts import validate_class_counts
from mmlt.functional.semantic_labels import check_confidence, semantic_scores

__all__ = ['LabelRectifier']


class LabelRectifier(nn.Module):
    """:func:`~mmlt.functional.semantic_labels.semantic_scores` from an epoch on.

    :class:`mmlt.hooks.LongTailHook` sets the epoch and the class counts. The options are those of
    :class:`ContrastiveClsHead`, which hands them on.

    Example:
        >>> rectifier = LabelRectifier(2, label_start_epoch=5, confidence=0.5)
        >>> area = torch.tensor([[0.2, 0.8]])
        >>> rectifier.set_progress(4, 10, 0, 0)
        >>> rectifier.active
        False
        >>> rectifier.set_progress(5, 10, 0, 0)
        >>> rectifier(torch.zeros(1, 1), torch.tensor([[1.0], [1.0]]), area)
        (tensor([[0.3500, 0.6500]]), tensor([0.5000]))
    """

    class_counts: Tensor

    def __init__(
        self,
        num_classes: int,
        label_start_epoch: int | None = None,
        top_k: int = 30,
        omega: float = 200 / 255,
        confidence: str | float = 'log_count',
    ) -> None:
        super().__init__()
        if label_start_epoch is not None:
            check_integer('label_start_epoch', label_start_epoch, '[0, inf)')
        self.start_epoch = label_start_epoch
        self.top_k = check_integer('top_k', top_k, '[1, inf)')
        self.omega = check_number('omega', omega, '[0, inf)')
        self.confidence = confidence
        self.epoch: int | None = None
        # Of its final shape from the start, because EMAHook pairs the buffers by position.
        self.register_buffer('class_counts', torch.zeros(num_classes), persistent=False)
        self._needs_counts = check_confidence(confidence) is None

    def set_class_counts(self, class_counts: Sequence[int]) -> None:
        """Take the training images per class, ``(K,)``."""
        counts = validate_class_counts(class_counts)
        if counts.shape != self.class_counts.shape:
            raise ValueError(
                f'class_counts: expected {self.class_counts.numel()} numbers, one for each class '
                f'of the head, got {counts.numel()}'
            )
        self.class_counts.copy_(counts)
        self._needs_counts = False

    def set_progress(self, epoch: int, max_epochs: int, iteration: int, seed: int) -> None:
        """Take the epoch, from 0; warn once if the run ends before labels are rectified."""
        del iteration, seed
        if self.epoch is None and self.start_epoch is not None and self.start_epoch >= max_epochs:
            print_log(
                f'label_start_epoch={self.start_epoch}: the run has {max_epochs} epochs, so labels '
                'are never rectified (an iteration-based loop has one epoch)',
                logger='current',
                level=logging.WARNING,
            )
        self.epoch = epoch

    @property
    def active(self) -> bool:
        """Whether labels are rectified; ``ValueError`` if the epoch decides and is unknown."""
        if not self.start_epoch:
            return self.start_epoch == 0
        if self.epoch is None:
            raise ValueError(
                'label_start_epoch: expected to know the epoch, got none; add '
                "default_hooks = dict(long_tail=dict(type='LongTailHook'))"
            )
        return self.epoch >= self.start_epoch

    def forward(
        self, features: Tensor, prototypes: Tensor, scores: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Rectify area labels ``scores (N, K)``; ``(scores (N, K), gamma (N,))``, no gradient.

        ``features (N, D)`` of the mixed images and ``prototypes (K, D)`` are not normalised.
        """
        if self._needs_counts:
            raise ValueError(
                "confidence: expected class counts for 'log_count', got none; add "
                "default_hooks = dict(long_tail=dict(type='LongTailHook'))"
            )
        return semantic_scores(
            features, prototypes, scores, self.class_counts, self.top_k, self.omega, self.confidence
        )

    def extra_repr(self) -> str:
        return (
            f'start_epoch={self.start_epoch}, top_k={self.top_k}, omega={self.omega:.4g}, '
            f'confidence={self.confidence!r}'
        )
