"""Counts the confusion pairs of any head, and hands them to samplers and batch augments."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmpretrain.registry import HOOKS
from torch import Tensor, nn

from mmlt.models.losses.confusion_pair_counts import ConfusionPairCounts

from .runner_parts import (
    begins_within_epoch,
    consumers_of_pairs,
    num_classes_of,
    training_dataset,
    unwrap,
)

__all__ = ['ConfusionPairsHook']

NAME = 'confusion_pairs'  # of the counts in the head


@HOOKS.register_module()
class ConfusionPairsHook(Hook):
    """Counts which classes are taken for which in training, for CP-Mix.

    It puts a :class:`mmlt.models.ConfusionPairCounts` into the model's head, as its submodule
    ``confusion_pairs``, and into the checkpoint as an entry of that name. The counts see what the
    loss of an MMPretrain head sees, its ``loss_module``, or where there is one its ``loss_car`` on
    clean views; of several experts, the mean of their logits. Before each epoch the counts of the
    last one go to ``PairSampler(partners='confusion')`` and to ``CPMixBatchAugment`` within the
    batch.

    :class:`LongTailHook` registers it where one of these is there. List it yourself to set an
    option, or to count without them.

    Args:
        momentum: share of the former counts that an epoch leaves in place, in ``[0, 1)``: 0 takes
            the last epoch alone, more is an average over epochs.
        mixed: ``'skip'`` leaves out the batches in which a label is mixed, ``'dominant'`` counts
            each image for the class with the larger share of its label.

    Raises:
        ValueError: if an option is out of range; before training, if the head has no
            ``loss_module``, or the loop has no epochs.

    Reference:
        CP-Mix (Yoon et al., arXiv 2411.07621): the misclassified training images of an epoch are
        the distribution of the next epoch's pairs.

    Example:
        >>> default_hooks = dict(
        ...     long_tail=dict(type='LongTailHook'),
        ...     confusion_pairs=dict(type='ConfusionPairsHook', momentum=0.5))
    """

    # Before EMAHook (NORMAL), which copies the model that the counts become a part of.
    priority = 'HIGH'

    def __init__(self, momentum: float = 0.0, mixed: str = 'skip') -> None:
        self.momentum, self.mixed = momentum, mixed
        ConfusionPairCounts(2, momentum, mixed)  # refuses what is no option, before training
        self._num_classes: int | None = None
        self._observed: nn.Module | None = None
        self._handle: Any = None

    def set_class_counts(self, counts: Sequence[int]) -> None:
        """Take the training images per class, ``(K,)``; of interest is ``K``."""
        self._num_classes = len(counts)

    def before_run(self, runner: Runner) -> None:
        """Put the counts into the model's head, before weights are loaded."""
        head = _head(runner)
        if training_dataset(runner) is None:
            return
        if not isinstance(getattr(head, 'loss_module', None), nn.Module):
            raise ValueError(
                "model.head: expected a head with a `loss_module`, as MMPretrain's have, to "
                f'count confusion pairs, got {type(head).__name__}'
            )
        if getattr(head, NAME, None) is None:
            num_classes = num_classes_of(head) or self._num_classes
            if num_classes is None:
                raise ValueError(
                    'model.head.num_classes: expected the number of classes, got None; add '
                    "default_hooks = dict(long_tail=dict(type='LongTailHook')), which counts them"
                )
            counts = ConfusionPairCounts(num_classes, self.momentum, self.mixed)
            counts.to(next(unwrap(runner.model).parameters()).device)
            counts.train(head.training)
            head.add_module(NAME, counts)
        self._observe(head)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Save the counts by their entries: 8,142 classes would add 530 MB as matrices."""
        counts = getattr(_head(runner), NAME, None)
        if counts is not None:
            checkpoint[NAME] = counts.sparse_state()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Restore the counts; :meth:`before_train` forgets those of another run."""
        counts = getattr(_head(runner), NAME, None)
        if counts is not None and NAME in checkpoint:
            counts.load_sparse_state(checkpoint[NAME])

    def before_train(self, runner: Runner) -> None:
        """Check the loop; counts that came with the weights of another run are forgotten."""
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            raise ValueError(
                'train_cfg: expected by_epoch=True, since confusion pairs are counted over an '
                f'epoch, got {type(runner.train_loop).__name__}'
            )
        if runner.iter == 0 and _head(runner).confusion_pairs.begin_run():
            runner.logger.info(
                'A run begins: the confusion pairs that came with the loaded weights are forgotten'
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Begin the counts of an epoch, and hand out those of the last, before the loader runs.

        An epoch that goes on in the middle goes on with its counts; one that begins again, because
        it was interrupted after the last checkpoint, is counted anew.
        """
        head = _head(runner)
        self._observe(head)  # SwitchRecipeHook may have exchanged the loss
        if not begins_within_epoch(runner):
            head.confusion_pairs.start_epoch()
        pairs = head.confusion_pairs.finished_sparse()
        for consumer in consumers_of_pairs(runner):
            consumer.set_confusion_counts(pairs)

    def after_train_epoch(self, runner: Runner) -> None:
        """Keep what the epoch has counted; a warning if that is nothing."""
        if not _head(runner).confusion_pairs.finish_epoch():
            print_log(
                f'confusion pairs: no image was counted in epoch {runner.epoch + 1}, so the pairs '
                'stay as they are (at first: class-balanced). Labels that are mixed or smoothed '
                'are not counted; mix a part of the batches only, or count them with '
                "dict(type='ConfusionPairsHook', mixed='dominant')",
                logger='current',
                level=logging.WARNING,
            )

    def _observe(self, head: Any) -> None:
        clean = getattr(head, 'loss_car', None)
        loss: nn.Module = clean if isinstance(clean, nn.Module) else head.loss_module
        if loss is self._observed:
            return
        if self._handle is not None:
            self._handle.remove()
        self._observed = loss
        self._handle = loss.register_forward_pre_hook(_Count(head), with_kwargs=True)


class _Count:
    """Forward pre-hook of a loss; the copy of the head that ``EMAHook`` makes has its own."""

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
            # Several experts give (E, N, K).
            getattr(self.head, NAME)(logits.mean(dim=0) if logits.ndim == 3 else logits, targets)


def _head(runner: Runner) -> Any:
    return getattr(unwrap(runner.model), 'head', None)
