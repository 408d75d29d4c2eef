"""Heads on features in place of whole networks: what ``--frozen`` does before the runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from mmlt.datasets.feature_files import read_features
from mmlt.functional.checks import one_line

from ..features.extraction import extract_features
from ..features.frozen import check_frozen
from .methods import Method
from .processes import Ended, Task, Told, work_apart
from .progress import Shown

__all__ = ['FEATURES', 'Frozen']

FEATURES = 'features.npz'


@dataclass(frozen=True)
class Frozen:
    """Where the features come from, and what happens to methods that cannot use them.

    Args:
        checkpoint: weights of the network; None: those that its config loads.
        named: the user has named the methods, so that one which cannot train on features is an
            error; else it is left out, with a sentence.
    """

    checkpoint: Path | None = None
    named: bool = False

    def of(
        self, methods: Sequence[Method], home: Path, gpus: Sequence[str], force: bool
    ) -> list[Method]:
        """The methods, to be trained on features, which are made where they are not there yet.

        Args:
            methods: the first that features suit gives network and images.
            home: of the runs, and of the features.
            gpus: for the network.
            force: replace features of another network or other images, and forget their runs.

        Raises:
            ValueError: one line, if there are no weights, or no method is left.
        """
        path = home.resolve() / FEATURES
        suited = self._suited(methods, lambda method: check_frozen(method.load()))
        before = _images(path)
        print(_extract(suited[0], path, self.checkpoint, force, gpus), flush=True)
        if before not in (None, _images(path)):
            for state in home.glob('*/seed_*/run.json'):
                shutil.rmtree(state.parent)
        frozen = [replace(method, features=path) for method in suited]
        return self._suited(frozen, lambda method: method.load())

    def _suited(self, methods: Sequence[Method], check: Callable[[Method], Any]) -> list[Method]:
        """Those that a check does not refuse."""
        suited, refused = [], []
        for method in methods:
            try:
                check(method)
            except ValueError as error:
                said = f'{method.label}: {" ".join(str(error).split())}'
                if self.named:
                    raise ValueError(f'--frozen: {said}') from error
                refused.append(said)
            else:
                suited.append(method)
        if not suited:
            raise ValueError(f'--frozen: expected a method for features, got none: {refused[0]}')
        for said in refused:
            print(f'Left out, {said}', flush=True)
        return suited


def _images(path: Path) -> str | None:
    """Hash of network and images of a file of features; None where there is none to be read."""
    try:
        return read_features(path).network.get('images')
    except ValueError:
        return None


def _extract(
    method: Method, path: Path, checkpoint: Path | None, force: bool, gpus: Sequence[str]
) -> str:
    """Make the features, or find them, in a process of its own: a network starts threads, which a
    fork of this one would not survive. Returns a line about them."""
    task = Task(
        'features', path.with_name('features.log'), partial(_make, method, path, checkpoint, force)
    )
    said, fault, began = '', '', False
    with Shown(1, 0) as shown, closing(work_apart([task], 1, gpus)) as events:
        for event in events:
            if isinstance(event, Told) and isinstance(event.value, float):
                if not began:
                    shown.line('Features of all images, once')
                began = True
                shown.share(task, event.value)
            elif isinstance(event, Told):
                fault, said = event.value.get('fault', ''), event.value.get('said', '')
            elif isinstance(event, Ended):
                fault = fault or event.failure or ''
            shown.refresh()
    if fault or not said:
        raise ValueError(fault or 'features: the process that makes them was stopped')
    return said


def _make(
    method: Method, path: Path, checkpoint: Path | None, force: bool, tell: Callable[[Any], None]
) -> None:
    """In its process: sends shares, and at the end what there is, or what is wrong."""
    try:
        content = extract_features(
            method.load(), path, checkpoint, force=force, reuse=True, tell=tell
        )
    except (ValueError, OSError) as error:
        tell(dict(fault=one_line(error, 500)))
        return
    images = sum(len(split.labels) for split in content.splits.values())
    tell(
        dict(
            said=f'{images:,} images as {content.channels:,} features each, of '
            f'{content.identity}: {path}'
        )
    )
