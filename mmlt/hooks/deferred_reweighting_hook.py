"""Deferred re-weighting: class weights from a given epoch on."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS
from torch import Tensor

from mmlt.functional.checks import check_integer, check_number, refuse
from mmlt.functional.counts import effective_number_weights
from mmlt.models.batch_augments.randomness import missing

from .runner_parts import components_with, switched, unwrap

__all__ = ['DeferredReweightingHook']


@HOOKS.register_module()
class DeferredReweightingHook(Hook):
    """Trains without class weights first, and with class-balanced ones from ``start_epoch`` on.

    The weights follow from the epoch and the class counts alone, so a resumed run has them
    without any state. Every loss that defines ``set_class_weight`` takes part (``LDAMLoss``,
    ``LogitAdjustedLoss``).

    Args:
        start_epoch: first epoch, counted from 0, that is weighted; 160 of 200 in the paper.
        beta: of the effective number of samples, in ``[0, 1)``.

    Raises:
        ValueError: if an option is out of range; before training, if the class counts are unknown
            or no loss can take weights.

    Reference:
        Cao et al., NeurIPS 2019, algorithm 1.

    Example:
        >>> hook = DeferredReweightingHook(start_epoch=160)
    """

    # After SwitchRecipeHook (NORMAL), which can exchange the loss.
    priority = 'BELOW_NORMAL'

    def __init__(self, start_epoch: int, beta: float = 0.9999) -> None:
        self.start_epoch = check_integer('start_epoch', start_epoch, '[0, inf)')
        self.beta = check_number('beta', beta, '[0, 1)')
        self._weights: Tensor | None = None

    def set_class_counts(self, counts: Sequence[int]) -> None:
        """Take the training images per class, ``(K,)``."""
        self._weights = effective_number_weights(counts, self.beta)

    def before_train(self, runner: Runner) -> None:
        """Check that there are counts and a loss to weight, before the first epoch."""
        if self._weights is None:
            raise missing(self, 'training images per class')
        if not components_with(runner, 'set_class_weight') and not switched(runner, 'loss'):
            loss = getattr(getattr(unwrap(runner.model), 'head', None), 'loss_module', None)
            expected = "one that takes class weights, such as 'LDAMLoss' or 'LogitAdjustedLoss'"
            raise refuse('model.head.loss.type', expected, type(loss).__name__)
        if self.start_epoch >= runner.max_epochs:
            runner.logger.warning(
                f'DeferredReweightingHook: start_epoch={self.start_epoch} is never reached in '
                f'{runner.max_epochs} epochs; nothing will be re-weighted'
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Set or clear the weights for this epoch."""
        weights = self._weights if runner.epoch >= self.start_epoch else None
        for loss in components_with(runner, 'set_class_weight'):
            loss.set_class_weight(weights)
        if weights is not None and runner.epoch == self.start_epoch:
            runner.logger.info(
                'Deferred re-weighting starts: class weights '
                f'{float(weights.min()):.3g} .. {float(weights.max()):.3g}.'
            )
