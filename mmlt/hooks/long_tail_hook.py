"""The one hook that a config lists."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from mmlt.functional.checks import check_flag
from mmlt.models.losses.confusion_estimate import ConfusionEstimate

from .batch_norm_sync_hook import BatchNormSyncHook
from .checkpoint_content import disarm_checkpoint
from .class_counts_hook import ClassCountsHook
from .confusion_pairs_hook import ConfusionPairsHook
from .ema_confusion_hook import EMAConfusionHook
from .epoch_seed_hook import EpochSeedHook
from .missed_validation_hook import MissedValidationHook
from .ranks import check_same_on_ranks, end_with_launcher
from .resume_check_hook import ResumeCheckHook
from .resume_from import choose_checkpoint
from .run_checks import check_monitored_figures, warn_of_double_correction
from .runner_parts import (
    check_pairing,
    check_shards,
    check_single_label,
    check_views,
    consumers_of_pairs,
    drop_foreign_average,
    hold_images,
    training_dataset,
    unwrap,
)
from .skipped_images_hook import SkippedImagesHook, skips_images
from .stop_signal_hook import StopSignalHook
from .stored_recipe import store_recipe
from .training_progress_hook import TrainingProgressHook
from .weights_check import WeightsCheckHook, check_checkpoint, check_pretrained
from .whole_checkpoints import keep_checkpoints_whole
from .within_epoch_hook import WithinEpochHook

__all__ = ['LongTailHook']


@HOOKS.register_module()
class LongTailHook(Hook):
    """Everything that the methods of mmlt need from a run, in one entry of the config.

    Before a run it registers

    - :class:`ClassCountsHook`: training images per class, from the data to whoever asks for them;
    - :class:`TrainingProgressHook`: epoch and iteration to the methods, parts of losses to the log;
    - :class:`EpochSeedHook`: all draws follow from seed and position, whatever the workers and
      ranks;
    - :class:`WeightsCheckHook`: a test ends where its checkpoint lacks weights of the model;
    - :class:`WithinEpochHook`: a run goes on in the middle of an epoch;
    - :class:`ResumeCheckHook`: a resumed run says what has changed since its checkpoint;
    - :class:`BatchNormSyncHook`: one BatchNorm for all ranks;
    - :class:`ConfusionPairsHook`, where a sampler or a batch augment draws confused classes;
    - :class:`SkippedImagesHook`, where a data set has ``on_error='skip'``: what it replaced;
    - :class:`EMAConfusionHook`, where the model has a ``CARLoss``: one report for each epoch.

    A checkpoint is written so that a kill leaves it whole or not there, the newest whole one is
    taken on resume, the validation that it lacks is made up, and a run that gets SIGTERM, SIGUSR1
    or SIGINT saves before it ends. Where the pipeline packs indices in place of images
    (:class:`mmlt.datasets.PackIndex`), it lays the images where the model is.

    One that the config lists itself, to set its options, is not registered a second time. Before
    the first step it checks that the parts of the run fit together. It stops where ``save_best``,
    ``EarlyStoppingHook`` or a scheduler waits for a figure that
    :class:`mmlt.evaluation.LongTailMetric` cannot report for this data, and warns where two parts
    compensate the class prior. Started by ``torchrun``, a rank ends when that process is killed.
    From a checkpoint it takes neither code to run nor files to delete.

    Args:
        resume_anyway: go on from a checkpoint that was trained with another method, as
            ``--resume-anyway`` of tools/train.py does; see :class:`ResumeCheckHook`.

    Raises:
        ValueError: if it has another priority than its own; before training, if partners are
            drawn, loaded or mixed, but not all three, if several views of an image meet a
            classifier for one, if the head is for several labels per image, if the weights that it
            starts from are those of another network, if a figure that the best model is saved by
            cannot be reported, if a run in shards (FSDP) is resumed or has a ``TunedBackbone`` with
            frozen weights, or if ranks would have different numbers of batches or images
            (:func:`check_same_on_ranks`).

    Example:
        >>> default_hooks = dict(long_tail=dict(type='LongTailHook'))
    """

    # Before all others: what it registers then still takes part in the run's first event.
    priority = 'HIGHEST'

    #: Strength of ``rebalance_classifier.py``, where the checkpoint comes from it.
    rebalanced: float | None = None

    def __init__(self, resume_anyway: bool = False) -> None:
        self.resume_anyway = check_flag('resume_anyway', resume_anyway)

    def before_run(self, runner: Runner) -> None:
        """Register the parts that this run needs."""
        if self.priority != type(self).priority:
            raise ValueError(
                f'LongTailHook.priority: expected {type(self).priority!r}, got {self.priority!r}'
            )
        end_with_launcher()
        needed: list[type[Hook]] = [ClassCountsHook, TrainingProgressHook, WeightsCheckHook]
        if skips_images(runner):
            needed.append(SkippedImagesHook)
        if training_dataset(runner) is not None:
            check_single_label(runner)
            check_pretrained(runner)
            needed += [EpochSeedHook, WithinEpochHook, ResumeCheckHook, BatchNormSyncHook]
            needed += [StopSignalHook, MissedValidationHook]  # in this order: same priority
            if consumers_of_pairs(runner):
                needed.append(ConfusionPairsHook)
            modules = unwrap(runner.model).modules()
            if any(isinstance(module, ConfusionEstimate) for module in modules):
                needed.append(EMAConfusionHook)
        _register(runner, needed)
        for hook in runner.hooks:
            if isinstance(hook, ResumeCheckHook) and self.resume_anyway:
                hook.resume_anyway = True
        keep_checkpoints_whole(runner)
        choose_checkpoint(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Take out of a checkpoint what MMEngine would run or delete on its word."""
        # A checkpoint may be loaded before the run.
        _register(runner, [ClassCountsHook, WeightsCheckHook])
        check_shards(runner)
        check_checkpoint(runner, checkpoint)
        drop_foreign_average(runner, checkpoint)
        meta = checkpoint.get('meta') or {}
        self.rebalanced = (meta.get('rebalanced_classifier') or {}).get('tau')
        disarm_checkpoint(runner, checkpoint)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Describe the model, so that ``mmlt predict`` needs nothing but the checkpoint."""
        store_recipe(runner, checkpoint)

    def before_test(self, runner: Runner) -> None:
        """Check that all ranks test on as many images, and what is tested."""
        check_same_on_ranks(runner)
        warn_of_double_correction(runner, 'test')

    def before_train(self, runner: Runner) -> None:
        """Check that the parts fit together, and lay images on the device that are to lie there."""
        check_shards(runner)
        check_pairing(runner)
        check_views(runner)
        preprocessor = getattr(unwrap(runner.model), 'data_preprocessor', None)
        hold_images(training_dataset(runner), preprocessor)
        check_same_on_ranks(runner)
        check_monitored_figures(runner)
        warn_of_double_correction(runner, 'val')


def _register(runner: Runner, parts: list[type[Hook]]) -> None:
    for part in parts:
        if not any(isinstance(hook, part) for hook in runner.hooks):
            runner.register_hook(part())
