"""Counts the confusion pairs of any head, and hands them to samplers and batch augments."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import Tensor, nn

from mmlt.datasets.labels import training_class_counts
from mmlt.models.losses.confusion_pair_counts import ConfusionPairCounts
from mmlt.models.preprocessors import PairedDataPreprocessor

from .runner_parts import components_with, num_classes_of, training_dataset, unwrap

__all__ = ['NAME', 'ConfusionPairRecorder']

# Of the counts in the head.
NAME = 'confusion_pairs'


class ConfusionPairRecorder:
    """Puts a :class:`mmlt.models.ConfusionPairCounts` into a head, and feeds and empties it.

    The counts become the head's submodule ``confusion_pairs``, and an entry of the same name in the
    checkpoint. They see what the head's loss sees: any MMPretrain head with a ``loss_module`` takes
    part, with whatever loss. Of a head with a loss on clean views (``loss_car`` of
    :class:`mmlt.models.ContrastiveClsHead`) those are counted; of several experts, the mean of
    their logits.

    A hook calls it at five points, each with the runner: :meth:`attach` in ``before_run`` (before
    weights are loaded and before ``EMAHook`` copies the model), :meth:`begin_run` in
    ``before_train``, :meth:`start_epoch` in ``before_train_epoch``, :meth:`finish_epoch` in
    ``after_train_epoch`` (before the checkpoint).

    Args:
        **options: of :class:`mmlt.models.ConfusionPairCounts`: ``momentum``, ``mixed``.

    Example:
        >>> recorder = ConfusionPairRecorder(momentum=0.5)
        >>> recorder.attached
        False
    """

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.pair_counts: ConfusionPairCounts | None = None
        self._observed: nn.Module | None = None
        self._handle: Any = None

    @property
    def attached(self) -> bool:
        """Whether a head is being counted."""
        return self.pair_counts is not None

    @staticmethod
    def consumers(runner: Runner) -> list[Any]:
        """Samplers and batch augments of the run that draw by the confusion law.

        Args:
            runner: with its training loop built.

        Returns:
            Those that define ``set_confusion_counts`` and want them. An
            augment in a paired preprocessor is none: its partners come from the sampler.
        """
        augments = getattr(unwrap(runner.model), 'data_preprocessor', None)
        paired: Sequence[Any] = ()
        if isinstance(augments, PairedDataPreprocessor) and augments.batch_augments is not None:
            paired = augments.batch_augments.augments
        return [
            component
            for component in components_with(runner, 'set_confusion_counts')
            if component.wants_confusion_counts
            and not any(component is augment for augment in paired)
        ]

    def attach(self, runner: Runner) -> None:
        """Put the counts into the model's head; once, however often it is called.

        Args:
            runner: its model has a ``head`` with ``loss_module``.

        Raises:
            ValueError: if it has not, or the number of classes is unknown.
        """
        model = unwrap(runner.model)
        head: Any = getattr(model, 'head', None)
        if not isinstance(getattr(head, 'loss_module', None), nn.Module):
            raise ValueError(
                'confusion pairs: expected a model with a `head` that has a `loss_module`, as '
                f"MMPretrain's classification heads do, got head {type(head).__name__}"
            )
        counts = getattr(head, NAME, None)
        if counts is None:
            counts = ConfusionPairCounts(_num_classes(runner, head), **self.options)
            counts.to(next(model.parameters()).device)
            counts.train(head.training)
            head.add_module(NAME, counts)
        self.pair_counts = counts
        self._observe(head)

    def _attached(self) -> ConfusionPairCounts:
        if self.pair_counts is None:
            raise ValueError('confusion pairs: call attach(runner) first, in before_run')
        return self.pair_counts

    def _observe(self, head: Any) -> None:
        """Watch the head's loss; a loss that was exchanged is found again."""
        clean = getattr(head, 'loss_car', None)
        loss: nn.Module = clean if isinstance(clean, nn.Module) else head.loss_module
        if loss is self._observed:
            return
        if self._handle is not None:
            self._handle.remove()
        self._observed = loss
        self._handle = loss.register_forward_pre_hook(_Count(head), with_kwargs=True)

    def start_epoch(self, runner: Runner) -> None:
        """Begin the counts of an epoch and hand the law to the consumers, before the loader runs.

        An epoch that was interrupted is trained again from its first batch, and is counted anew.
        Only where the sampler is going to skip the batches that were trained, the counts go on.

        Args:
            runner: about to iterate over its training loader.
        """
        counts = self._attached()
        head: Any = unwrap(runner.model).head
        self._observe(head)
        if not _continues_epoch(runner):
            counts.start_epoch()
        law = counts.finished_sparse()
        for consumer in self.consumers(runner):
            consumer.set_confusion_counts(law)

    def finish_epoch(self, runner: Runner) -> None:
        """Make the law of the epoch that ended; a warning if there was nothing to count.

        Args:
            runner: at the end of an epoch.
        """
        if not self._attached().finish_epoch():
            print_log(
                f'confusion pairs: no image was counted in epoch {runner.epoch + 1}, so the law '
                'stays as it is (at first: class-balanced). Labels that are mixed or smoothed '
                'are not counted; mix a part of the batches only, or count them with '
                "confusion_pairs=dict(mixed='dominant').",
                logger='current',
                level=logging.WARNING,
            )

    def save(self, checkpoint: dict[str, Any]) -> None:
        """Put the counts into a checkpoint that is about to be written."""
        checkpoint[NAME] = self._attached().sparse_state()

    def load(self, checkpoint: dict[str, Any]) -> None:
        """Take the counts from a checkpoint; :meth:`begin_run` forgets those of another run."""
        if NAME in checkpoint:
            self._attached().load_sparse_state(checkpoint[NAME])

    def begin_run(self, runner: Runner) -> None:
        """Check the loop; a law that came with the weights of another run is forgotten.

        Args:
            runner: about to train, with its checkpoint loaded.

        Raises:
            ValueError: if the loop has no epochs, at whose ends laws are made.
        """
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise ValueError(
                'confusion pairs: the law is made at the end of an epoch, but the training loop is '
                f'{type(runner.train_loop).__name__}; train with train_cfg=dict(by_epoch=True, '
                'max_epochs=...)'
            )
        if runner.iter == 0:
            self._attached().reset()


class _Count:
    """Forward pre-hook of a loss; a copy of the head made by ``EMAHook`` gets one of its own."""

    def __init__(self, head: nn.Module) -> None:
        self.head = head

    def __call__(self, loss: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not self.head.training:
            return
        values = [
            *args,
            *(kwargs[name] for name in ('cls_score', 'pred', 'target') if name in kwargs),
        ]
        logits, targets = values[:2]
        if isinstance(logits, Tensor):
            getattr(self.head, NAME)(_mean_over_experts(logits), targets)


def _mean_over_experts(logits: Tensor) -> Tensor:
    return logits.mean(dim=0) if logits.ndim == 3 else logits


def _num_classes(runner: Runner, head: nn.Module) -> int:
    known = num_classes_of(head)
    return len(training_class_counts(training_dataset(runner))) if known is None else known


def _continues_epoch(runner: Runner) -> bool:
    loader = runner.train_dataloader
    samplers = (loader.sampler, getattr(loader.batch_sampler, 'sampler', None))
    return any(getattr(sampler, 'pending_skip', 0) for sampler in samplers)
