"""A run that goes on in the middle of an epoch."""

from __future__ import annotations

from typing import Any

from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from mmpretrain.datasets import RepeatAugSampler, SequentialSampler
from mmpretrain.registry import HOOKS
from torch.utils.data import BatchSampler
from torch.utils.data import SequentialSampler as TorchSequentialSampler

from mmlt.datasets.samplers.epoch import EpochSampler
from mmlt.datasets.samplers.pairs import PairBatchSampler
from mmlt.datasets.samplers.positions import PositionedBatches
from mmlt.functional.checks import OptionError

from .runner_parts import batch_sampler_of, sampler_of, total_batch_of

__all__ = ['WithinEpochHook', 'obstacle_within_epoch']

NAME = 'within_epoch'  # of the entry in the checkpoint

_SAMPLERS = (DefaultSampler, RepeatAugSampler, SequentialSampler, TorchSequentialSampler)
_BATCH_SAMPLERS = (BatchSampler, PairBatchSampler)


def obstacle_within_epoch(runner: Runner) -> str | None:
    """Why this run cannot go on in the middle of an epoch exactly; None where it can."""
    loader, batches, sampler = runner.train_dataloader, batch_sampler_of(runner), sampler_of(runner)
    if not isinstance(loader.batch_sampler, PositionedBatches):
        return f'of {type(loader.dataset).__name__}, which has no batches of indices'
    by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
    known = _SAMPLERS if by_epoch else (*_SAMPLERS, InfiniteSampler)
    if not isinstance(sampler, EpochSampler) and type(sampler) not in known:
        return f'of {type(sampler).__name__}, whose order may not follow from seed and epoch'
    if type(batches) not in _BATCH_SAMPLERS:
        return f'of {type(batches).__name__}, whose batches may not follow from seed and epoch'
    return None


@HOOKS.register_module()
class WithinEpochHook(Hook):
    """Lets a run go on after the last batch that a checkpoint within an epoch has seen.

    MMEngine begins the epoch again, but counts the iterations on. With this hook the remaining
    batches follow, and what was trained already is not loaded: hooks see the number of the batch
    in the whole epoch, and the end of the epoch, with its validation, comes where it was due. A
    checkpoint of the last iteration of an epoch is followed by that end. Iteration-based loops
    go on in their stream of images likewise.

    The checkpoint needs nothing but the number of batches, since :class:`EpochSeedHook` lets all
    draws follow from seed and position.

    Raises:
        ValueError: before training, if a ``CheckpointHook(by_epoch=False)`` saves within epochs of
            a sampler whose order cannot be entered in the middle, or between two steps of the
            optimiser, when accumulated gradients would be lost.

    Example:
        >>> checkpoint = dict(type='CheckpointHook', by_epoch=False, interval=500)
    """

    # After DistSamplerSeedHook, which announces the epoch to the sampler.
    priority = 'LOW'

    _saved: dict[str, Any] | None = None
    _epoch: int | None = None
    _first_batch = 0

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep the batches done of the epoch and in it, and of how many images each was."""
        meta = checkpoint['meta']
        within = meta['epoch'] == self._epoch
        checkpoint[NAME] = {
            'batches': meta['iter'] - self._first_iter if within else 0,
            'length': len(runner.train_dataloader),
            'total_batch': total_batch_of(runner),
            'sampler_seed': getattr(sampler_of(runner), 'seed', None),
        }

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Read where the run was."""
        if not runner._resume:
            return
        self._saved = dict(checkpoint.get(NAME) or {})
        if not isinstance(self._saved.get('batches'), int):  # saved without this hook
            meta, length = checkpoint['meta'], len(runner.train_dataloader)
            batches = meta['iter'] - meta['epoch'] * length
            self._saved['batches'] = batches if 0 <= batches <= length else 0

    def before_train(self, runner: Runner) -> None:
        """Refuse what cannot be exact, and begin the epoch where the checkpoint was saved."""
        obstacle = obstacle_within_epoch(runner)
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook) and not hook.by_epoch and hook.interval > 0:
                _check_interval(runner, hook, obstacle if by_epoch else None)
        if self._saved is None:
            return
        self._restore_seed(runner)
        start, total = self._saved['batches'], total_batch_of(runner)
        batches = runner.train_dataloader.batch_sampler
        if not (by_epoch and start):
            return
        if obstacle:
            runner.logger.warning(
                f'WithinEpochHook: the run goes on in the middle of an epoch {obstacle}; it is not '
                'what an uninterrupted run would be'
            )
        if isinstance(batches, PositionedBatches):
            if start == self._saved.get('length'):
                start = len(batches)
            elif total:
                start = min(
                    start * (self._saved.get('total_batch') or total) // total, len(batches)
                )
            runner.logger.info(f'Epoch {runner.epoch + 1} goes on after {start} batches.')
            batches.start = start
            self._count_batches_from(runner.train_loop, start)

    def _restore_seed(self, runner: Runner) -> None:
        """MMEngine has made the sampler before it read the seed of the run."""
        loader, sampler = runner.cfg.get('train_dataloader'), sampler_of(runner)
        seed = self._saved.get('sampler_seed') if self._saved else None
        given = isinstance(loader, dict) and 'seed' in (loader.get('sampler') or {})
        if isinstance(seed, int) and not given and getattr(sampler, 'seed', seed) != seed:
            runner.logger.info(f'{type(sampler).__name__}: takes the seed of the resumed run')
            sampler.seed = seed

    def before_train_epoch(self, runner: Runner) -> None:
        """Note where the epoch begins; an iteration-based loop starts its stream."""
        loop, batches = runner.train_loop, runner.train_dataloader.batch_sampler
        if isinstance(loop, EpochBasedTrainLoop):
            self._epoch = runner.epoch
            self._first_iter = runner.iter - getattr(batches, 'start', 0)
        elif isinstance(loop, IterBasedTrainLoop) and obstacle_within_epoch(runner) is None:
            _start_stream(loop, runner.train_dataloader, runner.iter)

    def after_train_epoch(self, runner: Runner) -> None:
        """The next epoch is a whole one."""
        self._first_batch = 0

    def _count_batches_from(self, loop: EpochBasedTrainLoop, start: int) -> None:
        """The loop counts from 0 what the loader gives; hooks see the place in the epoch."""
        self._first_batch, run_iter = start, loop.run_iter

        def run_later_iter(idx: int, data_batch: Any) -> None:
            run_iter(idx + self._first_batch, data_batch)

        loop.run_iter = run_later_iter


def _check_interval(runner: Runner, hook: CheckpointHook, obstacle: str | None) -> None:
    length = len(runner.train_dataloader)
    if obstacle and (hook.interval % length or hook.save_begin % length):
        raise OptionError(
            'CheckpointHook.by_epoch: expected True, got False: a run cannot go on in the middle '
            f'of an epoch {obstacle}'
        )
    steps = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
    for name in ('interval', 'save_begin'):
        if getattr(hook, name) % steps:
            raise OptionError(
                f'CheckpointHook.{name}: expected a multiple of accumulative_counts={steps}, got '
                f'{getattr(hook, name)}: gradients that were accumulated would be lost'
            )


class _Stream:
    """The endless iterator of an iteration-based loop, which begins where the run goes on.

    MMEngine then asks for the batches that were trained already; it gets nothing in their place.
    """

    def __init__(self, stream: Any, skipped: int) -> None:
        self.stream, self.skipped = stream, skipped

    def __iter__(self) -> _Stream:
        return self

    def __next__(self) -> Any:
        if self.skipped:
            self.skipped -= 1
            return None
        return next(self.stream)

    def skip_iter(self, steps: int) -> None:
        """OneDL's MMEngine asks in this way."""
        self.skipped = 0


def _start_stream(loop: IterBasedTrainLoop, loader: Any, iteration: int) -> None:
    """Anew, since MMEngine's workers have read ahead when the loop was made."""
    if getattr(loop, 'fast_forward_on_resume', False):  # of OneDL: the user does not want it
        iteration = 0
    batches = loader.batch_sampler
    sampler = batches.sampler
    if isinstance(sampler, InfiniteSampler):
        passes, start = 0, iteration
        sampler.indices = sampler._indices_of_rank()
    else:
        passes, start = divmod(iteration, len(batches))
        if hasattr(sampler, 'set_epoch'):
            sampler.set_epoch(passes)
    batches.epoch, batches.start = passes, start
    kind = type(loop.dataloader_iterator)
    loop.dataloader_iterator = loader._iterator = None  # ends the workers
    stream = kind(loader)
    stream._epoch = passes
    loop.dataloader_iterator = _Stream(stream, iteration)
