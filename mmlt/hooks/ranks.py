"""Ranks that would wait for each other for ever, and ranks whose launcher has died."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from typing import Any

from mmengine.dist import all_gather_object
from mmengine.runner import Runner

from mmlt.functional.checks import OptionError

from .runner_parts import loader_of, sampler_of

__all__ = ['check_same_on_ranks', 'end_with_launcher']

POLL_SECONDS = 5.0
GRACE_SECONDS = 30.0
# A launcher that dies before the run begins is noticed as well.
_BORN = (os.getpid(), os.getppid())


def check_same_on_ranks(runner: Runner) -> None:
    """Refuse data loaders that would let ranks wait for each other, or evaluate different data.

    A rank with fewer batches leaves the others in a collective operation until it times out. Where
    a last batch may be smaller, it must be so on every rank, since losses gather the batches of all
    ranks. A validation or test set must have the same size, by which the figures are computed.

    Args:
        runner: its loops that are built are looked at; every rank has to call this.

    Raises:
        ValueError: on every rank, naming the data loader and the number of each rank; also if
            there is not one batch to train on.
    """
    told = all_gather_object(_sizes(runner))
    for name in told[0]:
        numbers = [sizes.get(name) for sizes in told]
        if len(set(numbers)) > 1:
            raise OptionError(
                f'{name}: expected the same number on every rank, or the ranks wait for each other '
                f'or disagree, got {_shorten(numbers)} on ranks 0 to {len(numbers) - 1} (the same '
                'files on every machine? a sampler with round_up=False?)'
            )
    if told[0].get('train_dataloader, batches per epoch') == 0:
        raise OptionError(
            'train_dataloader: expected at least one batch per epoch, got 0: with drop_last there '
            f'have to be at least batch_size images on each of {len(told)} ranks'
        )


def _sizes(runner: Runner) -> dict[str, int | None]:
    sizes = {}
    loader = loader_of(runner, 'train')
    if loader is not None:
        sizes['train_dataloader, batches per epoch'] = _length(loader)
        batches = getattr(loader, 'batch_sampler', None)
        if not getattr(batches, 'drop_last', False):
            sizes['train_dataloader, images per epoch'] = _length(sampler_of(runner))
    for which in ('val', 'test'):
        loader = loader_of(runner, which)
        if loader is not None:
            sizes[f'{which}_dataloader, images'] = _length(loader.dataset)
    return sizes


def _length(sized: Any) -> int | None:
    """None for streams, whose length nobody knows."""
    try:
        return len(sized)
    except TypeError:
        return None


def _shorten(numbers: list[Any], limit: int = 16) -> str:
    text = ', '.join(map(str, numbers[:limit]))
    return text if len(numbers) <= limit else f'{text}, ...'


def end_with_launcher() -> bool:
    """Let this rank end when the ``torchrun`` that started it has died.

    A launcher that is killed cannot stop its ranks; they would train on, unseen, and keep GPUs and
    port. A thread looks every 5 seconds whether the parent is still the same process. When it is
    not, the rank gets SIGTERM, and 30 seconds later, if it still waits for another rank, it ends.

    Returns:
        Whether there is a launcher to watch; a run without ``torchrun`` may outlive its shell.
    """
    if 'TORCHELASTIC_RUN_ID' not in os.environ or _watching():
        return False
    launcher = _BORN[1] if _BORN[0] == os.getpid() else os.getppid()
    threading.Thread(target=_watch, args=(launcher,), name=_NAME, daemon=True).start()
    return True


_NAME = 'mmlt-launcher-watch'


def _watching() -> bool:
    return any(thread.name == _NAME for thread in threading.enumerate())


def _watch(launcher: int) -> None:
    while os.getppid() == launcher:
        time.sleep(POLL_SECONDS)
    with contextlib.suppress(OSError):  # the launcher may have been the reader of this stream
        print(f'rank {os.environ.get("RANK")}: the launcher is gone, ending', file=sys.stderr)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)
