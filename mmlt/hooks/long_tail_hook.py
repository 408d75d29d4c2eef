"""The one hook that a config lists."""

from __future__ import annotations

from typing import Any

from mmengine.dataset.utils import worker_init_fn as worker_seed_of_mmengine
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from mmlt.models.losses.confusion_estimate import ConfusionEstimate

from .batch_norm_sync_hook import BatchNormSyncHook
from .checkpoint_content import disarm_checkpoint
from .class_counts_hook import ClassCountsHook
from .confusion_pairs_hook import ConfusionPairsHook
from .ema_confusion_hook import EMAConfusionHook
from .epoch_seed_hook import EpochSeedHook, seed_worker_of_epoch
from .runner_parts import check_pairing, consumers_of_pairs, sampler_of, training_dataset, unwrap
from .training_progress_hook import TrainingProgressHook

__all__ = ['LongTailHook']


@HOOKS.register_module()
class LongTailHook(Hook):
    """Everything that the methods of mmlt need from a run, in one entry of the config.

    Before a run it registers

    - :class:`ClassCountsHook`: training images per class, from the data to whoever asks for them;
    - :class:`TrainingProgressHook`: epoch and iteration to the methods, parts of losses to the log;
    - :class:`EpochSeedHook`: an epoch draws the same numbers in a resumed run;
    - :class:`BatchNormSyncHook`: one BatchNorm for all ranks;
    - :class:`ConfusionPairsHook`, where a sampler or a batch augment draws confused classes;
    - :class:`EMAConfusionHook`, where the model has a ``CARLoss``: one report for each epoch.

    One that the config lists itself, to set its options, is not registered a second time. Before
    the first step it checks that the parts of the run fit together, and lets the data loading
    workers draw from the seed of the epoch (:func:`seed_worker_of_epoch`), unless the config
    names a ``worker_init_fn``. From a checkpoint it takes neither code to run nor files to delete.

    Raises:
        ValueError: if it has another priority than its own; before training, if partners are
            drawn, loaded or mixed, but not all three, or if ranks would have different numbers
            of images.

    Example:
        >>> default_hooks = dict(long_tail=dict(type='LongTailHook'))
    """

    # Before all others: what it registers then still takes part in the run's first event.
    priority = 'HIGHEST'

    def before_run(self, runner: Runner) -> None:
        """Register the parts that this run needs."""
        if self.priority != type(self).priority:
            raise ValueError(
                f'LongTailHook.priority: expected {type(self).priority!r}, got {self.priority!r}'
            )
        needed: list[type[Hook]] = [ClassCountsHook, TrainingProgressHook]
        if training_dataset(runner) is not None:
            needed += [EpochSeedHook, BatchNormSyncHook]
            if consumers_of_pairs(runner):
                needed.append(ConfusionPairsHook)
            modules = unwrap(runner.model).modules()
            if any(isinstance(module, ConfusionEstimate) for module in modules):
                needed.append(EMAConfusionHook)
        _register(runner, needed)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Take out of a checkpoint what MMEngine would run or delete on its word."""
        _register(runner, [ClassCountsHook])  # a checkpoint may be loaded before the run
        disarm_checkpoint(runner, checkpoint)

    def before_train(self, runner: Runner) -> None:
        """Check that the parts fit together, and seed the data loading workers by epoch."""
        check_pairing(runner)
        loader = runner.train_dataloader
        images, ranks = len(loader.dataset), get_world_size()
        if images % ranks and not getattr(sampler_of(runner), 'round_up', True):
            raise ValueError(
                'train_dataloader.sampler.round_up: expected True, got False: of '
                f'{images} images the {ranks} ranks would have different numbers, and wait for '
                'each other for ever'
            )
        if _function_of(loader.worker_init_fn) in (None, worker_seed_of_mmengine):
            loader.worker_init_fn = seed_worker_of_epoch
        by_epoch = _function_of(loader.worker_init_fn) is seed_worker_of_epoch
        if by_epoch and loader.num_workers and loader.persistent_workers:
            runner.logger.warning(
                'train_dataloader.persistent_workers: expected False, got True. Workers that '
                'outlive an epoch are seeded once, so a resumed run draws other augmentations '
                'than an uninterrupted one'
            )


def _register(runner: Runner, parts: list[type[Hook]]) -> None:
    for part in parts:
        if not any(isinstance(hook, part) for hook in runner.hooks):
            runner.register_hook(part())


def _function_of(worker_init_fn: Any) -> Any:
    """MMEngine puts the function of a config, and its own, into a ``partial``."""
    return getattr(worker_init_fn, 'func', worker_init_fn)
