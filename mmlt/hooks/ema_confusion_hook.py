"""Publishes the confusion estimate once per epoch, and starts the regulariser when it is due."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from mmlt.functional.checks import check_integer
from mmlt.functional.confusion.soft import top_confused_pairs
from mmlt.models.losses.confusion_estimate import ConfusionEstimate

from .runner_parts import components_with, training_dataset, unwrap

__all__ = ['EMAConfusionHook']


@HOOKS.register_module()
class EMAConfusionHook(Hook):
    """Reports :class:`mmlt.models.ConfusionEstimate` per epoch, and schedules ``CARLoss``.

    At the end of an epoch, on rank 0, the log shows the spectral norm, the class with the largest
    weighted confusion, the most confused pairs, and the number of batches that were left out for
    NaN or Inf; the visualiser receives the numbers. Training steps are not touched. The schedule
    follows from the epoch alone, so that a resumed run continues it.

    :class:`LongTailHook` registers it, with its defaults, where the model has a ``CARLoss``.

    Args:
        num_pairs: how many confused pairs to show; 0 for none.
        interval: epochs between two reports.
        start_epoch: first epoch (from 0) in which the regulariser counts; the estimate is kept
            up to date before.
        warmup_epochs: epochs over which its weight then rises linearly to its full value.

    Raises:
        ValueError: if an argument is out of range.

    Reference:
        CAR (Zhu et al., CVPR 2026) trains without a delay: ``start_epoch=0, warmup_epochs=0``.

    Example:
        >>> hook = EMAConfusionHook(start_epoch=2, warmup_epochs=4)
        >>> [hook.strength(epoch) for epoch in (1, 2, 3, 5, 6)]
        [0.0, 0.25, 0.5, 1.0, 1.0]
    """

    # After SwitchRecipeHook (NORMAL), which can exchange the loss.
    priority = 'BELOW_NORMAL'

    def __init__(
        self, num_pairs: int = 10, interval: int = 1, start_epoch: int = 0, warmup_epochs: int = 0
    ) -> None:
        self.num_pairs = check_integer('num_pairs', num_pairs, '[0, inf)')
        self.interval = check_integer('interval', interval, '[1, inf)')
        self.start_epoch = check_integer('start_epoch', start_epoch, '[0, inf)')
        self.warmup_epochs = check_integer('warmup_epochs', warmup_epochs, '[0, inf)')

    def strength(self, epoch: int) -> float:
        """Weight of the regulariser in an epoch (from 0), relative to its full value."""
        if epoch < self.start_epoch:
            return 0.0
        return min(1.0, (epoch - self.start_epoch + 1) / max(self.warmup_epochs, 1))

    def before_train(self, runner: Runner) -> None:
        """Log a warning if there is nothing to report, or if the schedule never begins."""
        if self.start_epoch >= runner.max_epochs:
            runner.logger.warning(
                f'EMAConfusionHook: start_epoch={self.start_epoch} is never reached in '
                f'{runner.max_epochs} epochs; the regulariser stays off'
            )
        modules = unwrap(runner.model).modules()
        if not any(isinstance(module, ConfusionEstimate) for module in modules):
            runner.logger.warning(
                'EMAConfusionHook has nothing to do: the model has no CARLoss (a loss belongs into '
                'model.head.loss)'
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Set the weight of the regulariser for this epoch."""
        for loss in components_with(runner, 'set_strength'):
            loss.set_strength(self.strength(runner.epoch))

    def after_train_epoch(self, runner: Runner) -> None:
        """Report every estimate in the model; all ranks hold the same, rank 0 logs it."""
        if not self.every_n_epochs(runner, self.interval) or not is_main_process():
            return
        for name, estimate in self.estimates(runner):
            self.publish(runner, name, estimate)

    def estimates(self, runner: Runner) -> Iterator[tuple[str, ConfusionEstimate]]:
        """Name in the log and module of every estimate that has begun."""
        found = [
            (name, module)
            for name, module in unwrap(runner.model).named_modules()
            if isinstance(module, ConfusionEstimate) and module.num_classes is not None
        ]
        for name, module in found:
            yield ('confusion' if len(found) == 1 else f'confusion/{name}'), module

    @torch.no_grad()
    def publish(self, runner: Runner, name: str, estimate: Any) -> None:
        """Write one estimate into log and visualiser."""
        # The only transfers to the CPU, once per epoch: a few numbers for people to read.
        weighted = estimate.row_weights * estimate.confusion.sum(dim=1)
        worst = int(weighted.argmax())
        report = {
            'spectral_norm': float(estimate.norm),
            'worst_class': worst,
            'worst_confusion': float(weighted[worst]),
            'skipped_batches': int(estimate.num_skipped),
        }
        scalars = {f'{name}/{key}': value for key, value in report.items()}
        runner.visualizer.add_scalars(scalars, step=runner.iter)
        meta = getattr(training_dataset(runner), 'metainfo', None) or {}
        classes = meta.get('classes') or ()
        if len(classes) != len(weighted):
            classes = range(len(weighted))
        top = top_confused_pairs(estimate.confusion, self.num_pairs)
        pairs = ', '.join(
            f'{classes[true]} -> {classes[predicted]} {value:.3g}'
            for true, predicted, value in zip(*(part.tolist() for part in top), strict=True)
            if value > 0
        )
        runner.logger.info(
            f'{name}: spectral norm {report["spectral_norm"]:.4g}, worst class {classes[worst]} '
            f'(weighted confusion {report["worst_confusion"]:.4g}), '
            f'{report["skipped_batches"]} batches skipped. '
            f'Most confused (true -> predicted): {pairs or "none"}'
        )
