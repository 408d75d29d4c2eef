"""A resumed run is asked to do what it did before, or it says what has changed."""

from __future__ import annotations

import json
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS

from mmlt.functional.checks import OptionError, check_flag

from .runner_parts import schedulers_of, total_batch_of
from .settings import changes, settings_of
from .within_epoch_hook import NAME as POSITION

__all__ = ['ResumeCheckHook']

NAME = 'trained_with'  # of the entry in the checkpoint


@HOOKS.register_module()
class ResumeCheckHook(Hook):
    """Compares a resumed run with what its checkpoint was trained with.

    The settings go into the checkpoint as text in JSON, which is compared and never executed. All
    changes are one warning, each as ``name: trained with X, now Y``. Changes after which the
    result would belong to neither setting, such as another loss or sampler, are one error; see
    :func:`mmlt.hooks.settings.changes`. The number of workers may change, and the number of
    processes as long as the images of a step on all of them stay the same.

    MMEngine logs that ``auto_scale_lr`` scales the learning rate, and then restores that of the
    checkpoint. Here it is scaled by what the total batch has changed, and so are the schedules.
    An absolute ``eta_min`` stays as it is.

    Args:
        resume_anyway: log a warning where there would be an error.

    Raises:
        ValueError: on resume, before training, for changes that make the result meaningless.

    Example:
        >>> hook = ResumeCheckHook(resume_anyway=True)
    """

    priority = 'VERY_HIGH'

    def __init__(self, resume_anyway: bool = False) -> None:
        self.resume_anyway = check_flag('resume_anyway', resume_anyway)
        self._lr_factor: float | None = 1.0

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep the settings with the weights."""
        checkpoint[NAME] = json.dumps(_settings(runner))

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Compare, before anything is restored."""
        if not runner._resume:
            return
        now = _settings(runner)
        before = _read(checkpoint.get(NAME))
        if before is None:
            self._lr_factor = None if _scale_of(now) is not None else 1.0
            runner.logger.warning(
                'resume: the checkpoint does not tell what it was trained with (it was saved '
                'without LongTailHook), so nothing can be compared'
            )
            return
        position = checkpoint.get(POSITION) or {}
        batches, length = position.get('batches', 0), position.get('length')
        epoch = checkpoint['meta']['epoch'] + (batches == length)
        found = changes(before, now, epoch, within_epoch=batches not in (0, length))
        errors = [change.text for change in found if change.is_error and not self.resume_anyway]
        others = [change.text for change in found if change.text not in errors]
        if others:
            runner.logger.warning(_list('resume: the run has changed', others))
        if errors:
            raise OptionError(
                _list('resume: expected what the checkpoint was trained with, got', errors)
                + '\nThe result would belong to neither. Restore this, or start a new run from the '
                'weights with load_from and resume=False; --resume-anyway of tools/train.py, which '
                "is dict(type='LongTailHook', resume_anyway=True), goes on all the same"
            )
        scale = _scale_of(now)
        if scale is not None:
            self._lr_factor = scale / (_scale_of(before) or 1.0)

    def before_train(self, runner: Runner) -> None:
        """Make true what MMEngine has logged of ``auto_scale_lr``."""
        if self._lr_factor is None:
            runner.logger.warning(
                'auto_scale_lr: the learning rate of the checkpoint stays as it is, since it does '
                'not tell for which batch size it was'
            )
        elif self._lr_factor != 1.0:
            _scale_learning_rate(runner, self._lr_factor)
            rates = {name: rates[0] for name, rates in runner.optim_wrapper.get_lr().items()}
            runner.logger.info(
                f'auto_scale_lr: the learning rate of the checkpoint was scaled by '
                f'{self._lr_factor:g}, for the batch size of this run, and goes on at {rates}'
            )
        self._lr_factor = 1.0


def _settings(runner: Runner) -> dict[str, Any]:
    return settings_of(runner.cfg, total_batch_of(runner))


def _read(text: Any) -> dict[str, Any] | None:
    try:
        settings = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return None
    return settings if isinstance(settings, dict) else None


def _list(title: str, lines: list[str]) -> str:
    return '\n  '.join([f'{title}:', *lines])


def _scale_of(settings: dict[str, Any]) -> float | None:
    """Actual over base batch size, where the learning rate is scaled by it."""
    options, total = settings.get('auto_scale_lr') or {}, settings.get('total_batch')
    if not options.get('enable') or not total or not options.get('base_batch_size'):
        return None
    return float(total / options['base_batch_size'])


def _scale_learning_rate(runner: Runner, factor: float) -> None:
    wrappers = getattr(runner.optim_wrapper, 'optim_wrappers', {'': runner.optim_wrapper})
    for wrapper in wrappers.values():
        for group in wrapper.optimizer.param_groups:
            for name in ('lr', 'initial_lr', 'max_lr', 'min_lr'):
                if name in group:
                    group[name] *= factor
    for scheduler in schedulers_of(runner):
        if scheduler.param_name == 'lr':
            scheduler.base_values = [value * factor for value in scheduler.base_values]
