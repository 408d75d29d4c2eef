"""One run of a method with a seed: its folder, how far it is, what it has reached."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmlt.checkpoints import last_checkpoint, write_text_whole
from mmlt.datasets.feature_files import read_features
from mmlt.hooks.settings import changes, settings_of
from mmlt.models.backbones.base_weights import local_file, sha256_of
from mmlt.registry import dicts_in

from ..places import without_places
from ..schedule import epochs_of, scale_epochs
from ..text import noted
from .methods import Method

__all__ = ['Run', 'changed_settings', 'settings']

STATE = 'run.json'
LOG = 'run.log'
CONTENT = 'content'  # of files that a run reads besides its data
Figures = dict[str, float]


@dataclass(frozen=True)
class Run:
    """A training and its evaluation.

    The folder is the work directory of the training. ``run.json`` in it tells how far the run is:
    ``started``, ``trained``, ``finished``, or ``diverged`` where its network gives no numbers.
    Everything else can be found out from the files that the training leaves.

    Args:
        method: what is trained.
        seed: of all random numbers.
        epochs: of this run; None for those of the recipe.
        home: folder of all runs.
    """

    method: Method
    seed: int
    epochs: int | None
    home: Path

    @property
    def folder(self) -> Path:
        """Its work directory."""
        return self.home / self.method.name / f'seed_{self.seed}'

    @property
    def log(self) -> Path:
        """Everything that it prints."""
        return self.folder / LOG

    @property
    def name(self) -> str:
        """For people."""
        return f'{self.method.label}, seed {self.seed}'

    def load(self) -> Config:
        """The config, with options, epochs and seed."""
        cfg = self.method.load()
        epochs = epochs_of(cfg)
        cfg = scale_epochs(cfg, self.epochs or epochs)
        cfg.merge_from_dict({'randomness.seed': self.seed})
        return cfg

    def read(self) -> dict[str, Any]:
        """What ``run.json`` says; empty for a run that has not begun."""
        return noted(self.folder / STATE)

    def note(self, **values: Any) -> None:
        """Add to ``run.json``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**self.read(), **values}, indent=1, ensure_ascii=False)
        write_text_whole(text + '\n', self.folder / STATE)

    def is_finished(self) -> bool:
        """Whether it is trained and evaluated."""
        return self.read().get('state') == 'finished'

    def can_resume(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return last_checkpoint(self.folder) is not None

    def remove(self) -> None:
        """Delete the folder of an earlier run; of any other folder, nothing."""
        if (self.folder / STATE).is_file():
            shutil.rmtree(self.folder)


def settings(run: Run) -> dict[str, Any]:
    """What the result of a run depends on, as JSON knows it.

    Paths inside the project are relative to it, so that it may move together with its runs. The
    folder of images that a list names may move too, but keeps its name; what the list says may
    not change.
    """
    cfg = run.load()
    known = settings_of(cfg, (cfg.get('train_dataloader') or {}).get('batch_size'))
    test = settings_of(
        dict(val_dataloader=cfg.get('test_dataloader'), val_evaluator=cfg.get('test_evaluator')),
        None,
    )
    known.update({name.replace('val_', 'test_'): part for name, part in test.items() if part})
    files = [str(cfg.get('load_from')), *_checkpoints(cfg)]
    known['weights'] = files
    known[CONTENT] = [[name, sha256_of(local_file(name))] for name in files if _is_here(name)]
    if run.method.features is not None:
        images = read_features(run.method.features).network.get('images', '')
        known[CONTENT].append(['images of the features', images])
    plain: dict[str, Any] = json.loads(json.dumps(known, default=str))
    return without_places(plain, run.method.config)


def _checkpoints(cfg: Any) -> list[str]:
    """Files that parts of a model start from."""
    named = (part.get('checkpoint') for part in dicts_in(cfg.get('model')))
    return [name for name in named if isinstance(name, str)]


def changed_settings(run: Run) -> list[str]:
    """How the config differs from the one that a run was begun with, a line for each setting."""
    before = run.read().get('settings')
    if before is None:
        return []
    was, now = dict(before), settings(run)
    old, new = (dict(part.pop(CONTENT, ())) for part in (was, now))
    # A file that is gone was read while it was there.
    others = [
        f'{name}: trained with content {old[name][:12]} (sha256), now {new[name][:12]}'
        for name in old.keys() & new.keys()
        if old[name] != new[name]
    ]
    return [change.text for change in changes(was, now, 0, False)] + sorted(others)


def _is_here(name: str) -> bool:
    return '://' not in name and local_file(name).is_file()
