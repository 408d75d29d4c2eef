"""A run resumes from, or loads, a checkpoint that is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.dist import all_gather_object, broadcast_object_list, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmlt.checkpoints import fault_of, newest_whole, progress_of
from mmlt.functional.checks import OptionError

from .whole_checkpoints import EPOCH, STEP, is_local, matches

__all__ = ['choose_checkpoint']


def choose_checkpoint(runner: Runner) -> None:
    """Verify the checkpoint that a run is about to load; on resume without a path, find it.

    MMEngine goes by the file ``last_checkpoint`` alone, starts anew where that is missing, and
    loads overwritten weights in silence. One rank decides for all.

    Raises:
        ValueError: naming the file that is damaged, or the folder without a whole checkpoint.
    """
    if getattr(runner, '_has_loaded', True) or not isinstance(runner, Runner):
        return
    given = runner._load_from
    if (given is None and not runner._resume) or '://' in str(given):
        return
    answer: list[Any] = [None, None]
    if is_main_process():
        try:
            answer[0] = _verified(given, runner) if given is not None else _found(runner)
        except ValueError as error:
            answer[1] = str(error)
    broadcast_object_list(answer)
    chosen, fault = answer
    if fault is None and chosen is not None:
        there = all_gather_object(Path(chosen).is_file())
        if not all(there):
            ranks = [rank for rank, found in enumerate(there) if not found]
            fault = (
                f'{chosen}: expected a file that all processes can read, got none on rank '
                f'{ranks[0]} (is the folder shared among the machines?)'
            )
    if fault is not None:
        raise OptionError(fault)
    if chosen is not None and given is None:
        runner.logger.info(f'Resumes from {chosen}')
        runner._load_from = chosen


def _verified(given: Any, runner: Runner) -> str:
    name = '--resume' if runner._resume else 'load_from'
    path = Path(given).expanduser()
    fault = fault_of(path)
    if fault is not None:
        raise OptionError(f'{name}: expected a whole checkpoint, got {given}, which {fault}')
    if runner._resume:
        progress_of(path)
    return str(path)


def _found(runner: Runner) -> str | None:
    """The newest whole checkpoint of a run; None where its files are on a remote backend."""
    work_dir = Path(runner.work_dir)
    note = work_dir / 'last_checkpoint'
    text = note.read_text(errors='replace').strip('\0 \n') if note.is_file() else ''
    if '://' in text:
        runner.logger.info(f'{text}: on a remote backend, and not verified')
        return None
    hooks = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]
    folders = [work_dir]
    for hook in hooks:
        if hook.out_dir is not None and is_local(hook.out_dir):
            folders.append(Path(hook.out_dir) / work_dir.name)
    templates = {STEP, EPOCH, *(hook.filename_tmpl for hook in hooks)}
    paths = [
        path
        for folder in dict.fromkeys(folders)
        if folder.is_dir()
        for path in folder.iterdir()
        if any(matches(path.name, template) for template in templates)
    ]
    named = None
    if text:
        # The folder may have been moved since.
        places = [Path(text), *(folder / Path(text).name for folder in folders)]
        named = next((path for path in places if path.is_file()), None)
        paths = [path for path in paths if named is None or not path.samefile(named)]
    if text and named is None:
        runner.logger.warning(f'{note} names {text}, which is no file')
    chosen = newest_whole(paths, named, runner.logger.warning)
    if chosen is None:
        damaged = [str(path) for path in [named, *paths] if path is not None]
        raise OptionError(
            f'--resume: expected a whole checkpoint in {work_dir}, got '
            f'{"only damaged ones: " + ", ".join(damaged) if damaged else "none"}. To begin anew, '
            'leave --resume (in a config: resume=True) out'
        )
    progress_of(chosen)
    return str(chosen)
