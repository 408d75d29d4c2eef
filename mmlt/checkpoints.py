"""Checkpoint files: written so that a kill leaves the old one or the new one, verified, found."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from .functional.checks import OptionError

__all__ = [
    'TRUST',
    'fault_of',
    'last_checkpoint',
    'newest_whole',
    'progress_of',
    'remove_partial',
    'save_whole',
    'write_text_whole',
    'written_whole',
]

PARTIAL = '.partial'
# Where torch itself looks, in this process and those that it starts, whether to load unsafely.
TRUST = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Write a file so that its name never stands for a part of it.

    The block writes to another name in the same folder. What it has written is flushed to the
    disk before it takes the name of ``path``, and the name is flushed after: whenever the process
    or the machine dies, ``path`` is the old file or the new one.

    Args:
        path: of the file, which may exist.

    Yields:
        The path to write to. After an error in the block it is removed, and ``path`` is left as
        it was; after a kill it stays until :func:`remove_partial`.
    """
    aside = path.with_name(f'.{path.name}{PARTIAL}')
    try:
        yield aside
        _flush(aside)
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    with suppress(OSError):  # some file systems cannot flush a folder
        _flush(path.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def save_whole(checkpoint: Any, path: Path) -> None:
    """``torch.save`` by way of :func:`written_whole`."""
    with written_whole(path) as aside, aside.open('wb') as file:
        torch.save(checkpoint, file)


def write_text_whole(text: str, path: Path, errors: str = 'surrogateescape') -> None:
    """Write a text file by way of :func:`written_whole`.

    ``errors`` is of ``open``: by default a file name that is no UTF-8 is written as it is.
    """
    with written_whole(path) as aside:
        aside.write_text(text, encoding='utf-8', errors=errors)


def remove_partial(folder: Path) -> list[Path]:
    """Remove what killed runs have left of files that they were writing; returns what it was."""
    left = sorted(folder.glob(f'.*{PARTIAL}'))
    for path in left:
        path.unlink(missing_ok=True)
    return left


def fault_of(path: Path) -> str | None:
    """What is wrong with a checkpoint file, or None.

    The checksums of every part are verified, which reads the whole file once: ``torch.load`` does
    not look at them, and loads overwritten weights in silence. A file in PyTorch's format of
    before 1.6 has no checksums.

    Args:
        path: of the file.

    Returns:
        Half a sentence, such as ``'is empty'``.
    """
    if not path.is_file():
        return 'is no file'
    if not path.stat().st_size:
        return 'is empty'
    try:
        if not zipfile.is_zipfile(path):
            with path.open('rb') as file:
                cut = file.read(2) in (b'PK', b'\0\0')
            return 'is cut off or overwritten' if cut else None
        with zipfile.ZipFile(path) as archive:
            wrong = archive.testzip()
    # What the reader makes of damaged bytes.
    except (zipfile.BadZipFile, OSError, ValueError, LookupError, RuntimeError) as error:
        return f'is damaged: {error}'
    return f'is damaged: {wrong} does not match its checksum' if wrong else None


def progress_of(path: Path) -> tuple[int, int]:
    """Iterations and epochs after which a checkpoint was saved. Its weights are not read.

    Args:
        path: of a checkpoint in which :func:`fault_of` finds no fault.

    Raises:
        OptionError: if it is no checkpoint that a run could go on from, or is refused by safe
            loading.
    """
    safely = TRUST not in os.environ
    try:
        checkpoint = torch.load(
            path, map_location='cpu', weights_only=safely, mmap=zipfile.is_zipfile(path)
        )
    except pickle.UnpicklingError as error:
        raise OptionError(
            f'{path}: expected a checkpoint that loads safely, got one that is broken or holds '
            'more than tensors and plain types, which could run any code; if you trust whoever '
            'made it, the tools load it with --trust-checkpoint'
        ) from error
    except (EOFError, RuntimeError, AttributeError, KeyError, IndexError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), 'an empty file')
        raise OptionError(f'{path}: expected a checkpoint, got {reason}') from error
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    meta = meta if isinstance(meta, dict) else {}
    iteration, epoch = meta.get('iter'), meta.get('epoch')
    if not (isinstance(iteration, int) and isinstance(epoch, int)):
        raise OptionError(
            f"{path}: expected a checkpoint with meta['iter'] and meta['epoch'] to resume from, "
            'got one without'
        )
    return iteration, epoch


def last_checkpoint(folder: Path) -> Path | None:
    """What a training has saved last in its work directory, which may have moved; None: nothing.

    A best epoch is no last one, though it may have been written later.
    """
    note = folder / 'last_checkpoint'
    if note.is_file():
        named = folder / Path(note.read_text(encoding='utf-8').strip()).name
        if named.is_file():
            return named
    found = [*folder.glob('epoch_*.pth'), *folder.glob('iter_*.pth')]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def newest_whole(
    paths: Iterable[Path], named: Path | None, warn: Callable[[str], None]
) -> Path | None:
    """The checkpoint to go on from.

    That is the one that ``last_checkpoint`` names, unless a later one was written in full before
    the run was killed; where it is missing or damaged, the one that was written last. The time of
    writing decides, since a folder may also hold further epochs of an earlier run.

    Args:
        paths: of the files that a run has saved.
        named: by ``last_checkpoint``, None if it names none.
        warn: is told of every damaged file that was passed over.

    Returns:
        Its path, None if none is whole.
    """

    def whole(path: Path) -> bool:
        fault = fault_of(path)
        if fault is None and not zipfile.is_zipfile(path):
            try:
                progress_of(path)  # no checksums: does it load?
            except ValueError as error:
                fault = str(error)
        if fault is not None:
            warn(f'{path} {fault}; it is not resumed from')
        return fault is None

    latest_first = sorted(
        (path for path in set(paths) if path != named),
        key=lambda path: (path.stat().st_mtime_ns, path.name),
        reverse=True,
    )
    if named is None or not whole(named):
        return next((path for path in latest_first if whole(path)), None)
    written = named.stat().st_mtime_ns
    for path in latest_first:
        if path.stat().st_mtime_ns <= written:
            break
        if whole(path) and progress_of(path) > progress_of(named):
            return path
    return named
