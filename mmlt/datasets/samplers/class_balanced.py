"""Class first, image second: balanced, square root, inverse, progressive, effective number."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmpretrain.registry import DATA_SAMPLERS
from torch import Tensor

from mmlt.functional.checks import check_flag, check_integer, check_number, refuse
from mmlt.functional.sampling import (
    class_quotas,
    class_sampling_probabilities,
    draw_classes,
    draw_images,
    effective_number_probabilities,
    next_images,
    progressive_probabilities,
)

from .epoch import EpochSampler, IntArray, Stream

__all__ = ['ClassBalancedSampler']


@DATA_SAMPLERS.register_module()
class ClassBalancedSampler(EpochSampler):
    r"""Draws a class by its probability, then an image of the class uniformly.

    An epoch has as many draws as the data set has images. Classes without images are never drawn.

    With ``replacement=False`` (class-aware sampling) the images of a class come in a shuffled
    order, and none comes again before all have: also across epochs, since an epoch goes on where
    the one before it ended. Each class then gets its expected share of the epoch, rounded up or
    down. Both hold for the list of all ranks together.

    For epoch-based training loops; see :class:`EpochSampler`.

    Args:
        dataset: the training data; MMEngine fills it in.
        power: class probabilities are :math:`p_k \propto n_k^{power}`: 0 class-balanced, 0.5
            square root, 1 instance-balanced, -1 inverse.
        progressive: begin instance-balanced and move towards those probabilities linearly by
            epoch, with weight ``epoch / num_epochs``.
        replacement: draw images independently.
        effective_number: ``beta`` in ``[0, 1)``: draw by the effective number in place of a power,
            :math:`p_k \propto n_k / (1 - \beta^{n_k})`.
        num_epochs: epochs of the schedule; needed if ``progressive``. Later epochs draw as at its
            end.
        seed: the same on all ranks; ``None``: drawn and synchronised.

    Raises:
        OptionError: if an option is out of range or contradicts another.

    Reference:
        Kang et al., Decoupling Representation and Classifier for Long-Tailed Recognition, ICLR
        2020, section 3; Shen et al., ECCV 2016 (class-aware); Cui et al., CVPR 2019 (effective
        number).

    Example:
        >>> sampler = dict(type='ClassBalancedSampler', power=0.5)
    """

    def __init__(
        self,
        dataset: Any,
        power: float = 0.0,
        progressive: bool = False,
        replacement: bool = True,
        effective_number: float | None = None,
        num_epochs: int | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(dataset, seed)
        check_number('power', power)
        if effective_number is not None and power != 0:
            raise refuse('power', '0 beside effective_number', power)
        if check_flag('progressive', progressive) or num_epochs is not None:
            check_integer('num_epochs', num_epochs, '[1, inf)')
        self.replacement = check_flag('replacement', replacement)
        self.num_epochs = num_epochs if progressive else None
        counts = self.pools.counts
        if effective_number is None:
            self._final = class_sampling_probabilities(counts, power)
        else:
            check_number('effective_number', effective_number, '[0, 1)')
            self._final = effective_number_probabilities(counts, effective_number)
        self.instance_balanced = class_sampling_probabilities(counts, 1)
        self._drawn = (0, np.zeros_like(counts))

    def class_probabilities(self, epoch: int) -> Tensor:
        """Class probabilities ``(K,)`` float64 in an epoch, counted from 0; they sum to 1."""
        if self.num_epochs is None:
            return self._final
        progress = min(epoch / self.num_epochs, 1.0)
        return progressive_probabilities(self.instance_balanced, self._final, progress)

    def _images_of_epoch(self) -> IntArray:
        if self.replacement:
            rng = self.generator(Stream.IMAGES)
            probabilities = self.class_probabilities(self.epoch).numpy()
            classes = draw_classes(probabilities, len(self.labels), rng)
            return draw_images(self.pools, classes, rng)
        quotas = self._quotas(self.epoch)
        classes = np.repeat(np.arange(len(quotas)), quotas)
        classes = self.generator(Stream.CLASS_ORDER).permutation(classes)
        return next_images(self.pools, classes, self._drawn_before(self.epoch), self.seed)

    def _quotas(self, epoch: int) -> IntArray:
        rng = self.generator(Stream.QUOTAS, epoch)
        return class_quotas(self.class_probabilities(epoch).numpy(), len(self.labels), rng)

    def _drawn_before(self, epoch: int) -> IntArray:
        """Draws per class in all earlier epochs: replayed, so that a resumed run knows them."""
        known, drawn = self._drawn
        if known > epoch:
            known, drawn = 0, np.zeros_like(drawn)
        for earlier in range(known, epoch):
            drawn = drawn + self._quotas(earlier)
        self._drawn = (epoch, drawn)
        return drawn
