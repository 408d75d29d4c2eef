"""What MMEngine would run or delete on the word of a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

__all__ = ['disarm_checkpoint', 'disarm_checkpoints']


def disarm_checkpoint(runner: Runner, checkpoint: dict[str, Any]) -> None:
    """Take out of a checkpoint what MMEngine would run or delete, before it does.

    It executes the text of ``meta['config']``, to look for the number of GPUs; it deletes the file
    that ``best_ckpt`` names when a better model comes, and old checkpoints by what is put in place
    of their number.

    Args:
        runner: its work directory, and that of its hooks, are where files may go.
        checkpoint: changed in place.
    """
    (checkpoint.get('meta') or {}).pop('config', None)
    hub = checkpoint.get('message_hub')
    info = (hub.get('runtime_info') if isinstance(hub, dict) else None) or {}
    folders = {runner.work_dir, *(getattr(hook, 'out_dir', None) for hook in runner.hooks)}
    homes = {Path(folder).resolve() for folder in folders if folder}
    for key, value in list(info.items()):
        if key == 'keep_ckpt_ids':
            harmless = isinstance(value, list) and all(type(item) is int for item in value)
            expected = 'the numbers of checkpoints'
        elif key.startswith(('best_ckpt', 'last_ckpt')) and value is not None:
            harmless = not homes.isdisjoint(Path(str(value)).resolve().parents)
            expected = f'a file inside of {runner.work_dir}'
        else:
            continue
        if not harmless:
            runner.logger.warning(
                f'checkpoint, {key}: expected {expected}, got {value!r}, which is left alone'
            )
            del info[key]


class _DisarmCheckpoints(Hook):
    """For a run without ``LongTailHook``, which does the same."""

    priority = 'HIGHEST'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        disarm_checkpoint(runner, checkpoint)


def disarm_checkpoints(runner: Runner) -> None:
    """:func:`disarm_checkpoint` for every checkpoint that the runner will load."""
    runner.register_hook(_DisarmCheckpoints())
