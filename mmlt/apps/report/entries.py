"""Which runs a command line names: folders, projects, and the seeds of one method as one."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmlt.checkpoints import last_checkpoint
from mmlt.hooks.settings import changes

from ..text import noted

__all__ = ['checkpoint_file', 'config_file', 'entries_of']

# Of `mmlt compare`: PROJECT/runs/METHOD/seed_S, and tables beside the methods.
SEED = re.compile(r'seed_(\d+)')
TABLES = {'table.csv', 'table.json', 'table.txt'}


def entries_of(texts: Sequence[str]) -> dict[str, dict[str, Path]]:
    """Runs by name, and each of their seeds.

    Args:
        texts: ``PATH`` or ``NAME=PATH``. A path is a run; a folder of ``seed_0``, ``seed_1``, ...,
            which is one entry; a folder of such folders; or a project with a folder ``runs``.

    Returns:
        Name of the entry -> name of the seed -> path. Plain cross-entropy, ``ce``, leads a project:
        it is the baseline of the others.

    Raises:
        ValueError: if there is none, or two have the same name.
    """
    found: dict[str, dict[str, Path]] = {}
    for text in texts:
        name, path = _split(text)
        if path.name in TABLES and len(texts) > 1:
            continue  # of a pattern such as runs/*
        for entry, seeds in _in(path).items():
            _add(found, name or entry, seeds)
    if not found:
        raise ValueError(f'RUN: expected a run, got none in {", ".join(texts)}')
    return {name: _trained_alike(seeds) for name, seeds in found.items()}


def _split(text: str) -> tuple[str, Path]:
    name, separator, rest = text.partition('=')
    return (
        (name, Path(rest)) if separator and name and not Path(text).exists() else ('', Path(text))
    )


def _in(path: Path) -> dict[str, dict[str, Path]]:
    """Name -> seeds of what one path stands for."""
    if not path.is_dir() or _is_run(path):
        name = _name_of(path)
        seed = path.resolve().name
        if SEED.fullmatch(seed):
            return {path.resolve().parent.name: {seed: path}}
        return {name: {name: path}}
    if _seeds_in(path):
        return _finished(path)
    methods = path / 'runs' if (path / 'runs').is_dir() else path
    below = [part for part in sorted(methods.iterdir()) if part.is_dir() and _seeds_in(part)]
    if not below:
        return {_name_of(path): {_name_of(path): path}}  # a folder of no run: said when it is read
    below.sort(key=lambda part: part.name != 'ce')
    return {name: seeds for part in below for name, seeds in _finished(part).items()}


def _name_of(path: Path) -> str:
    home = path.resolve() if path.is_dir() else path.resolve().parent
    if path.is_file() and path.stem != 'predictions':
        return path.stem
    return (home.parent if home.name == 'evaluation' else home).name


def _is_run(folder: Path) -> bool:
    return (
        (folder / 'predictions.npz').is_file()
        or (folder / 'evaluation' / 'predictions.npz').is_file()
        or checkpoint_file(folder) is not None
    )


def _seeds_in(folder: Path) -> list[Path]:
    found = [part for part in folder.iterdir() if part.is_dir() and SEED.fullmatch(part.name)]
    return sorted(found, key=lambda part: int(part.name.removeprefix('seed_')))


def _finished(method: Path) -> dict[str, dict[str, Path]]:
    """The seeds of a method that have something to evaluate; the others are named."""
    seeds = _seeds_in(method)
    kept = {part.name: part for part in seeds if _is_run(part) and not _goes_on(part)}
    for part in seeds:
        if part.name not in kept:
            print(f'mmlt report: {part} is not trained yet, and is left out', file=sys.stderr)
    return {method.resolve().name: kept} if kept else {}


def _goes_on(folder: Path) -> bool:
    """Whether ``mmlt compare`` has begun this training and not ended it well."""
    return _state_of(folder).get('state') in ('started', 'diverged')


def _state_of(run: Path) -> dict[str, Any]:
    """What ``mmlt compare`` notes of a run; empty for any other."""
    return noted(run / 'run.json')


def _trained_alike(seeds: dict[str, Path]) -> dict[str, Path]:
    """The seeds that were trained as the newest one was; the others are named.

    ``mmlt compare`` trains only those that it is asked for anew, and a mean over two trainings is
    that of none.
    """
    trained: dict[str, dict[str, Any]] = {}
    for seed, path in seeds.items():
        settings = _state_of(path).get('settings')
        if isinstance(settings, dict):
            trained[seed] = {name: part for name, part in settings.items() if name != 'randomness'}
    if len(trained) < 2:
        return seeds
    newest = max(trained, key=lambda seed: (seeds[seed] / 'run.json').stat().st_mtime)
    kept = dict(seeds)
    for seed, settings in trained.items():
        changed = changes(settings, trained[newest], 0, False)
        if changed:
            names = ', '.join(change.text.partition(':')[0] for change in changed[:3])
            print(
                f'mmlt report: {kept.pop(seed)} is left out, since it was trained otherwise than '
                f'{newest}: {names}',
                file=sys.stderr,
            )
    return kept


def _add(found: dict[str, dict[str, Path]], name: str, seeds: dict[str, Path]) -> None:
    for seed, path in seeds.items():
        entry = found.setdefault(name, {})
        alike = all(map(SEED.fullmatch, (seed, *entry)))
        one_folder = len({part.resolve().parent for part in (path, *entry.values())}) == 1
        if entry and (seed in entry or not alike or not one_folder):
            raise ValueError(f'RUN: expected different names (NAME=PATH), got {name!r} twice')
        entry[seed] = path


def checkpoint_file(folder: Path) -> Path | None:
    """That of the last epoch of a work directory, else any; None if there is none."""
    return last_checkpoint(folder) or _newest(folder.glob('*.pth'))


def config_file(folder: Path) -> Path | None:
    """The config that MMEngine leaves in a work directory; None if there is none.

    A script beside predictions is none: reading a config runs it.
    """
    trained = any(folder.glob('*.pth')) or any(folder.glob('*/vis_data'))
    return _newest(folder.glob('*.py')) if trained else None


def _newest(paths: Iterator[Path]) -> Path | None:
    return max(paths, key=lambda path: path.stat().st_mtime, default=None)
