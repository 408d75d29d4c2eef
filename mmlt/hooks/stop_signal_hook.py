"""A run that is asked to end saves what it has done first."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

import torch
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import distributed

from .whole_checkpoints import WholeCheckpointHook

__all__ = ['StopSignalHook']


class StopSignalHook(Hook):
    """On SIGTERM, SIGUSR1 or SIGINT: finish the step, save a checkpoint, exit.

    The first two come from schedulers that take the machine back (Slurm's ``--signal=USR1@120``),
    the last from a keyboard; a second SIGINT ends the run at once. The exit code is 0.

    Within an epoch the checkpoint is ``iter_N.pth``, at its end ``epoch_N.pth``; the next one that
    the config asks for takes its place. In a validation nothing is lost either: it ends where the
    checkpoint of the epoch is on the disk, and is made up on resume.

    All processes stop at the same step, whichever has got the signal. To know, each adds its flag
    to a sum over processes (gloo, on the CPU) after every step, and reads it after the next one:
    the sum has had a whole step to arrive, so that no step waits for it, and since all read the
    same sums they stop together. A flag in a store would be free, but a process that is slower
    than another would see it a step earlier.

    A signal that something else handles already is left to it, as are signals outside training.
    """

    # After CheckpointHook and everything else that ends a step.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._asked: str | None = None
        self._stops = False
        self._group: Any = None
        self._flag = torch.zeros(1)
        self._sum: Any = None
        self._loop: Any = None
        self._before: dict[int, Any] = {}
        self._polls_in_validation = 0

    # Signals

    def before_train(self, runner: Runner) -> None:
        """Listen, and let the data loading workers be undisturbed."""
        self._loop, self._asked, self._stops, self._sum = runner.train_loop, None, False, None
        if get_world_size() > 1 and self._group is None:
            self._group = distributed.new_group(backend='gloo')
        if threading.current_thread() is threading.main_thread():
            for name in ('SIGTERM', 'SIGUSR1', 'SIGINT'):
                number = getattr(signal, name, None)  # Windows lacks one
                usual = (signal.SIG_DFL, signal.default_int_handler)
                if number is not None and signal.getsignal(number) in usual:
                    self._before[number] = signal.signal(number, self._handle)
        for loop in (runner.train_loop, runner.val_loop):
            loader = getattr(loop, 'dataloader', None)
            if loader is not None and not isinstance(loader.worker_init_fn, _Undisturbed):
                loader.worker_init_fn = _Undisturbed(loader.worker_init_fn)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        again = number == signal.SIGINT and self._asked == name
        if again or not _runs(self._loop, frame):
            self._restore()
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            os.kill(os.getpid(), number)
            return
        self._asked = name
        once_more = '; once more ends it at once' if number == signal.SIGINT else ''
        # A handler interrupts anything, a line of the log too.
        os.write(2, f'{name}: the run saves and ends after this step{once_more}\n'.encode())

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    # Agreement

    def _poll(self) -> None:
        """Whether to stop is known here; every process must come by equally often."""
        if self._group is None:
            self._stops = self._stops or self._asked is not None
            return
        self._settle()
        self._flag = torch.tensor([float(self._asked is not None)])
        self._sum = distributed.all_reduce(self._flag, group=self._group, async_op=True)

    def _settle(self) -> None:
        if self._sum is not None:
            self._sum.wait()
            self._stops, self._sum = self._stops or self._flag.item() > 0, None

    # The moments at which a run can stop

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Stop within an epoch."""
        self._poll()
        if not self._stops or _gradient_is_partial(runner):
            return
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        if by_epoch and self.end_of_epoch(runner.train_dataloader, batch_idx):
            return  # the end of the epoch follows at once
        runner.call_hook('before_save_within_epoch')
        self._leave(runner, runner.epoch, runner.iter + 1)

    def after_train_epoch(self, runner: Runner) -> None:
        """Stop at the end of an epoch; MMEngine counts it after this."""
        if self._stops and isinstance(runner.train_loop, EpochBasedTrainLoop):
            self._leave(runner, runner.epoch + 1, runner.iter, by_epoch=True)

    def before_val(self, runner: Runner) -> None:
        """Stop before a validation."""
        self._poll()
        if self._stops:
            self._leave_after_epoch(runner)

    def before_val_epoch(self, runner: Runner) -> None:
        """Find the number of batches that every process has."""
        try:
            batches = len(runner.val_dataloader)
        except TypeError:
            batches = 0
        if self._group is not None:
            least = torch.tensor([batches])
            distributed.all_reduce(least, distributed.ReduceOp.MIN, group=self._group)
            batches = int(least)
        self._polls_in_validation = batches

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Stop within a validation, where the weights before it are saved.

        Otherwise it is finished first: ``EMAHook`` may have exchanged the weights.
        """
        if batch_idx < self._polls_in_validation:
            self._poll()
            hooks, place = _checkpoint_hooks(runner), (runner.epoch, runner.iter)
            if self._stops and (not hooks or any(hook.is_saved(*place) for hook in hooks)):
                self._leave_after_epoch(runner)

    def after_val(self, runner: Runner) -> None:
        """Stop after a validation."""
        self._poll()
        if self._stops:
            self._leave_after_epoch(runner)

    def after_train(self, runner: Runner) -> None:
        """The run is done, whoever wants it to stop."""
        self._settle()
        self._restore()

    def _leave_after_epoch(self, runner: Runner) -> None:
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        self._leave(runner, runner.epoch, runner.iter, by_epoch)

    def _leave(self, runner: Runner, epoch: int, iteration: int, by_epoch: bool = False) -> None:
        """Save where nothing is saved yet, and exit on every process."""
        hooks = _checkpoint_hooks(runner)
        if any(hook.is_saved(epoch, iteration) for hook in hooks):
            saved = 'its checkpoint was saved before'
        elif hooks:
            path = hooks[0].save_to_stop(runner, epoch, iteration, by_epoch)
            saved = f'saved to {path}, from which --resume goes on'
        else:
            saved = 'nothing is saved, since the run has no CheckpointHook'
        self._settle()
        if self._group is not None:
            # A launcher ends the others when one has gone: not before the file is whole.
            distributed.barrier(self._group)
        who = self._asked or 'a signal to another process'
        runner.logger.warning(
            f'Stopped by {who} after epoch {epoch}, iteration {iteration}: {saved}'
        )
        self._restore()
        runner.call_hook('after_run')
        raise SystemExit(0)


def _checkpoint_hooks(runner: Runner) -> list[WholeCheckpointHook]:
    return [hook for hook in runner.hooks if isinstance(hook, WholeCheckpointHook)]


def _gradient_is_partial(runner: Runner) -> bool:
    """Whether gradients of several steps are being added up, which no checkpoint holds."""
    wrapper = runner.optim_wrapper
    # Several optimisers are not asked: their training step decides when each of them updates.
    single = isinstance(wrapper, OptimWrapper) and not isinstance(wrapper, OptimWrapperDict)
    return single and not wrapper.should_update()


def _runs(loop: Any, frame: FrameType | None) -> bool:
    """Whether the interrupted code is inside of the training loop; an error may have left it."""
    while frame is not None:
        if frame.f_code.co_name == 'run' and frame.f_locals.get('self') is loop:
            return True
        frame = frame.f_back
    return False


class _Undisturbed:
    """``worker_init_fn`` of workers that outlive the signals of their process.

    A terminal and torchrun send a signal to the workers too. A worker that dies of it would end
    the run with an error before the step is finished. SIGTERM is taken from the worker's own
    process only, which so ends its workers.
    """

    def __init__(self, worker_init_fn: Any) -> None:
        self.worker_init_fn = worker_init_fn

    def __call__(self, worker_id: int) -> None:
        if hasattr(signal, 'sigwaitinfo'):
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            threading.Thread(target=_end_by, args=(os.getppid(),), daemon=True).start()
        if self.worker_init_fn is not None:
            self.worker_init_fn(worker_id)


def _end_by(parent: int) -> None:
    info = signal.sigwaitinfo({signal.SIGTERM})
    while info is not None and info.si_pid != parent:
        info = signal.sigwaitinfo({signal.SIGTERM})
    os._exit(0)
