"""The validation that was due when a run was killed."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

__all__ = ['MissedValidationHook']

EARLY_STOPPING = 'early_stopping'  # of the checkpoint


class MissedValidationHook(Hook):
    """Makes up, on resume, the validation that was due after the checkpoint was saved.

    A checkpoint is saved at the end of an epoch, before the epoch is validated. MMEngine goes on
    with the next epoch, so that a run killed in between would lose that validation: perhaps the
    best model, and a step of what decides by it. The checkpoint knows which validation was the
    last, and whether the one that is due is in it.

    It also keeps the state of ``EarlyStoppingHook``, of which MMEngine saves nothing.
    """

    # After every other hook has begun its training.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self._saved: dict[str, Any] = {}
        self._early_stopping: dict[str, Any] = {}

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep how long early stopping has been waiting, and whether it has decided."""
        hooks = _early_stopping_hooks(runner)
        if hooks:
            checkpoint[EARLY_STOPPING] = dict(
                stopped=bool(runner.train_loop.stop_training),
                hooks={
                    hook.monitor: dict(
                        wait_count=hook.wait_count, best_score=float(hook.best_score)
                    )
                    for hook in hooks
                },
            )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Note where the run stood when the checkpoint was saved."""
        if not runner._resume:
            return
        info = (checkpoint.get('message_hub') or {}).get('runtime_info') or {}
        self._saved = {key: info[key] for key in ('epoch', 'iter') if key in info}
        self._early_stopping = checkpoint.get(EARLY_STOPPING) or {}

    def before_train(self, runner: Runner) -> None:
        """Validate, if that is due and not done."""
        saved, self._saved = self._saved, {}
        early, self._early_stopping = self._early_stopping, {}
        for hook in _early_stopping_hooks(runner):
            if hook.monitor in (early.get('hooks') or {}):
                hook.wait_count = int(early['hooks'][hook.monitor]['wait_count'])
                hook.best_score = float(early['hooks'][hook.monitor]['best_score'])
                runner.train_loop.stop_training |= bool(early.get('stopped'))
        if not saved or not _is_due(runner, saved):
            return
        hub = runner.message_hub
        begun = {key: hub.get_info(key) for key in saved}
        # Checkpoints and logs of this validation say what they would have said then.
        hub.update_info_dict(saved)
        runner.logger.info(
            f'Validation after epoch {runner.epoch}, iteration {runner.iter}: made up, since the '
            'run ended before it was done'
        )
        runner.val_loop.run()
        hub.update_info_dict(begun)


def _is_due(runner: Runner, saved: dict[str, Any]) -> bool:
    """By the rules of MMEngine's two loops; a loop of one's own is left alone."""
    loop = runner.train_loop
    if runner.val_loop is None or not loop.iter:
        return False
    if runner.message_hub.runtime_info.get('iter_of_validation') == loop.iter:
        return False
    if isinstance(loop, EpochBasedTrainLoop):
        now, end = loop.epoch, loop.max_epochs
        if saved.get('epoch') != loop.epoch - 1:
            return False  # saved within an epoch, of which the last one was validated before
    elif isinstance(loop, IterBasedTrainLoop):
        now, end = loop.iter, loop.max_iters
    else:
        return False
    loop._decide_current_val_interval()
    return bool(now >= loop.val_begin and (now % loop.val_interval == 0 or now == end))


def _early_stopping_hooks(runner: Runner) -> list[EarlyStoppingHook]:
    return [hook for hook in runner.hooks if isinstance(hook, EarlyStoppingHook)]
