"""Checkpoints of a run survive a kill."""

from __future__ import annotations

import hashlib
import os.path as osp
import pickle
import re
from collections import deque
from collections.abc import Iterable
from functools import wraps
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process, master_only
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from mmengine.runner.checkpoint import _load_checkpoint

from mmlt.checkpoints import remove_partial, save_whole, write_text_whole, written_whole

from .runner_parts import training_dataset

__all__ = ['WholeCheckpointHook', 'keep_checkpoints_whole']

STEP, EPOCH = 'iter_{}.pth', 'epoch_{}.pth'


def keep_checkpoints_whole(runner: Runner) -> None:
    """Let this run write every checkpoint aside, and give its ``CheckpointHook`` the right order.

    The hook that the config lists stays where it is, with its options and state.
    """
    if training_dataset(runner) is None or not isinstance(runner, Runner):
        return
    _write_aside(runner)
    for hook in runner.hooks:
        kind = type(hook)
        if kind is CheckpointHook:
            hook.__class__ = WholeCheckpointHook
        elif isinstance(hook, CheckpointHook) and not isinstance(hook, WholeCheckpointHook):
            # A class of the user's own keeps its methods: they come first.
            hook.__class__ = type(kind.__name__, (kind, WholeCheckpointHook), {})


def _write_aside(runner: Runner) -> None:
    stock = runner.save_checkpoint
    if getattr(stock, 'aside', False):
        return

    @wraps(stock)
    def save_checkpoint(
        out_dir: str, filename: str, file_client_args: Any = None, **options: Any
    ) -> None:
        if not is_main_process():
            return
        if not is_local(out_dir, file_client_args, options.get('backend_args')):
            stock(out_dir, filename, file_client_args, **options)
            return
        with written_whole(Path(out_dir) / filename) as aside:
            stock(out_dir, aside.name, file_client_args, **options)

    save_checkpoint.aside = True  # type: ignore[attr-defined]
    runner.save_checkpoint = save_checkpoint


def is_local(folder: Any, file_client_args: Any = None, backend_args: Any = None) -> bool:
    """Whether files in a folder are written by this machine's file system."""
    return (
        '://' not in str(folder)
        and (file_client_args or {}).get('backend', 'disk') == 'disk'
        and (backend_args or {}).get('backend', 'local') == 'local'
    )


class WholeCheckpointHook(CheckpointHook):
    """MMEngine's ``CheckpointHook``, of which a kill at any moment leaves a checkpoint.

    An outdated checkpoint goes only after the new one and ``last_checkpoint`` are on the disk, and
    the former best model only after the new one is. After a new best model MMEngine saves the
    checkpoint of the epoch once more; here that is done when every hook has seen the validation,
    so that it holds all of their states.

    Files of a remote backend are written as MMEngine writes them.
    """

    last_ckpt: Any
    file_backend: Any
    keep_ckpt_ids: Any
    _in_validation = False
    _once_more: tuple[int, dict[str, Any]] | None = None
    _saved: tuple[int, int] | None = None

    def before_train(self, runner: Runner) -> None:
        """Clear what a killed run has left, and remember the checkpoint that it went on from."""
        super().before_train(runner)
        local = is_local(self.out_dir, self.file_client_args, self.backend_args)
        if not local:
            runner.logger.info(
                f'Checkpoints in {self.out_dir} are written by a remote backend, without the '
                'protection of those on a disk'
            )
        if is_main_process():
            for folder in {str(runner.work_dir), *([str(self.out_dir)] if local else [])}:
                for path in remove_partial(Path(folder)):
                    runner.logger.info(f'{path}: removed; a killed run was writing it')
        last = runner.message_hub.runtime_info.get('last_ckpt')
        if runner.iter and last and self.last_ckpt is None:
            self.last_ckpt = self.file_backend.join_path(self.out_dir, osp.basename(str(last)))
        if runner._resume:
            self._saved = runner.epoch, runner.iter

    def after_val_epoch(self, runner: Runner, metrics: dict[str, Any]) -> None:
        """Save a new best model; a resumed run will know that this validation is done."""
        runner.message_hub.update_info('iter_of_validation', runner.iter)
        super().after_val_epoch(runner, metrics)

    def after_val(self, runner: Runner) -> None:
        """Save the checkpoint of the epoch again, where the best model is new."""
        if self._once_more is not None:
            (step, meta), self._once_more = self._once_more, None
            self._save_checkpoint_with_step(runner, step, meta)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, Any]) -> None:
        backend = self.file_backend
        late = _LateRemovals(backend)
        self.file_backend, self._in_validation = late, True
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend, self._in_validation = backend, False
        best = {
            getattr(self, 'best_ckpt_path', None),
            *getattr(self, 'best_ckpt_path_dict', {}).values(),
        }
        late.carry_out(kept=best)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        if self._in_validation:
            self._once_more = (step, meta)
            return
        outdated: list[int] = []
        if self.max_keep_ckpts > 0:
            kept = [*(old for old in self.keep_ckpt_ids if old != step), step]
            outdated, kept = kept[: -self.max_keep_ckpts], kept[-self.max_keep_ckpts :]
            # The file names what is about to be removed: if the run is killed before that,
            # MMEngine removes it on resume.
            runner.message_hub.update_info('keep_ckpt_ids', outdated + kept)
            self.keep_ckpt_ids = deque(kept, self.max_keep_ckpts)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        self._save(runner, name, meta, self.by_epoch)
        if outdated:
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        names = [self.filename_tmpl.format(old) for old in outdated] + self._temporary(runner)
        self._remove(other for other in names if other != name)

    def _save(
        self, runner: Runner, name: str, meta: dict[str, Any], by_epoch: bool, **options: Any
    ) -> str:
        self._saved = meta['epoch'], meta['iter']
        given = dict(
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            backend_args=self.backend_args,
            **self.args,
        )
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            meta=meta,
            by_epoch=by_epoch,
            **{**given, **options},
        )
        path = str(self.file_backend.join_path(self.out_dir, name))
        if is_main_process():
            write_text_whole(path, Path(runner.work_dir) / 'last_checkpoint')
        return path

    def _remove(self, names: Iterable[str]) -> None:
        if not is_main_process():
            return
        for name in names:
            path = self.file_backend.join_path(self.out_dir, name)
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)
            elif self.file_backend.isdir(path):
                self.file_backend.rmtree(path)  # deepspeed saves folders

    def is_saved(self, epoch: int, iteration: int) -> bool:
        """Whether the last checkpoint was saved after so many epochs and iterations."""
        return self._saved == (epoch, iteration)

    def save_to_stop(self, runner: Runner, epoch: int, iteration: int, by_epoch: bool) -> str:
        """Save all that a resume needs, beside the checkpoints that the config asks for.

        The next checkpoint of the config takes its place.

        Args:
            runner: that is about to end.
            epoch: finished epochs.
            iteration: finished iterations.
            by_epoch: whether this is the end of an epoch.

        Returns:
            The path of the checkpoint.
        """
        template = EPOCH if by_epoch else STEP
        if self.by_epoch == by_epoch:
            template = self.filename_tmpl
        name = template.format(epoch if by_epoch else iteration)
        before = self._temporary(runner)  # one that stood in for another is not kept either
        runner.message_hub.update_info('temporary_ckpt', name)
        path = self._save(
            runner,
            name,
            dict(epoch=epoch, iter=iteration),
            by_epoch,
            save_optimizer=True,
            save_param_scheduler=True,
        )
        self._remove(other for other in before if other != name)
        return path

    def _temporary(self, runner: Runner) -> list[str]:
        """Name of the checkpoint of a stopped run, which is no longer needed."""
        name = runner.message_hub.runtime_info.get('temporary_ckpt')
        patterns = (STEP, EPOCH, self.filename_tmpl)
        known = isinstance(name, str) and any(matches(name, pattern) for pattern in patterns)
        if name is not None:
            runner.message_hub.update_info('temporary_ckpt', None)
        return [name] if known else []

    @master_only
    def _publish_model(self, runner: Runner, ckpt_path: str) -> None:
        if not is_local(ckpt_path, self.file_client_args, self.backend_args):
            super()._publish_model(runner, ckpt_path)
            return
        checkpoint = _load_checkpoint(ckpt_path, map_location='cpu')
        published = {key: checkpoint[key] for key in checkpoint if key in self.published_keys}
        digest = hashlib.sha256(pickle.dumps(published)).hexdigest()[:8]
        path = Path(f'{osp.splitext(ckpt_path)[0]}-{digest}.pth')
        save_whole(published, path)
        runner.logger.info(f'{ckpt_path}: {", ".join(published)} are published in {path}')


class _LateRemovals:
    """A file backend that notes what it is told to remove."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._noted: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self._noted.append(('remove', path))

    def rmtree(self, path: str) -> None:
        self._noted.append(('rmtree', path))

    def carry_out(self, kept: set[Any]) -> None:
        for deed, path in self._noted:
            if path not in kept:
                getattr(self._backend, deed)(path)


def matches(name: str, template: str) -> bool:
    """Whether a file is one of those that a template such as ``epoch_{}.pth`` names."""
    before, _, after = template.partition('{}')
    return re.fullmatch(rf'{re.escape(before)}\d+{re.escape(after)}', name) is not None
