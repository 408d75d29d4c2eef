"""What the process of a run does: train, or go on, and evaluate on the test images."""

from __future__ import annotations

import importlib
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

import mmlt
from mmlt.checkpoints import last_checkpoint, progress_of

from ..evaluate.command import evaluate_run
from ..evaluate.inference import same_images
from ..predictions import load_predictions
from .methods import Method
from .runs import Figures, Run, settings

__all__ = ['build_runner', 'check_files', 'train_and_judge', 'why_no_best']

AS_PREDICTED = 'as predicted'  # in metrics.json, beside the post-hoc correction
SEND_SECONDS = 0.5
LAST_ONLY = 'heads on features are judged after their last epoch'
_EPOCH = re.compile(r'_epoch_(\d+)\.pth$')


def train_tool() -> ModuleType:
    """``tools/train.py``: of the repository, or from inside an installed package."""
    package = Path(mmlt.__file__).parent
    folders = (package / '.mim' / 'tools', package.parent / 'tools')
    folder = next((path for path in folders if (path / 'train.py').is_file()), None)
    if folder is None:
        raise ValueError(f'tools/train.py: expected it beside mmlt, got none in {package}')
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return importlib.import_module('train')


def build_runner(cfg: Config, config: Path, folder: Path, resume: bool = False) -> Runner:
    """The runner that ``tools/train.py CONFIG --work-dir FOLDER [--resume]`` builds."""
    tool = train_tool()
    argv = [str(config), '--work-dir', str(folder), *(['--resume'] if resume else [])]
    runner: Runner = tool.build(tool.merge_args(cfg, tool.parse_args(argv)))
    return runner


def check_files(methods: Sequence[Method]) -> None:
    """``ValueError`` with the first fault that ``tools/train.py`` would stop at in each run.

    Lists, folders and weights are looked for, those of the test too, before a process is started.
    """
    train_tool()
    preflight = importlib.import_module('preflight')  # beside it
    loaders = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    for method in methods:
        faults = preflight.find_faults(method.load(), loaders)
        if faults:
            others = f' (and {len(faults) - 1} other faults)' if len(faults) > 1 else ''
            raise ValueError(f'{method.label}: {faults[0]}{others}')


class _Tell(Hook):
    """Sends how much of the training is done, from 0 to 1, now and then."""

    def __init__(self, tell: Callable[[Any], None]) -> None:
        self.tell, self.last = tell, 0.0

    def after_train_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """A step is done."""
        if time.monotonic() - self.last > SEND_SECONDS:
            self.last = time.monotonic()
            self.tell((runner.iter + 1) / runner.max_iters)


def train_and_judge(run: Run, tell: Callable[[Any], None]) -> None:
    """Do what is left of a run.

    Args:
        run: new, interrupted or failed.
        tell: gets the share of the training that is done.
    """
    cfg = run.load()
    if run.read().get('state') != 'trained':
        began, before = time.monotonic(), run.read().get('seconds', 0.0)
        run.note(
            state='started',
            method=run.method.label,
            seed=run.seed,
            epochs=cfg.train_cfg.max_epochs,
            settings=settings(run),
        )
        try:
            # A copy: the tool fills in what the settings above do not hold.
            runner = build_runner(run.load(), run.method.config, run.folder, run.can_resume())
            runner.register_hook(_Tell(tell))
            runner.train()
        finally:
            run.note(seconds=round(before + time.monotonic() - began, 2))
        run.note(state='trained')
    judged = _judge(run, cfg)
    fault = _divergence(run)
    if fault is None:
        run.note(state='finished', fault=None, **judged)
    else:
        run.note(state='diverged', fault=fault)


def _divergence(run: Run) -> str | None:
    """What is wrong with a network whose outputs are no numbers, or None."""
    probabilities = load_predictions(run.folder / 'evaluation' / 'predictions.npz').probabilities
    lost = int((~np.isfinite(probabilities).all(axis=1)).sum())
    if not lost:
        return None
    return (
        f'{run.name} diverged: expected probabilities, got none for {lost} of '
        f'{len(probabilities)} test images; lower optim_wrapper.optimizer.lr'
    )


def _judge(run: Run, cfg: Config) -> dict[str, Any]:
    """Figures of the test images: of the last epoch, and of the one chosen on validation."""
    last = last_checkpoint(run.folder)
    if last is None:
        raise ValueError(f'{run.folder}: expected a checkpoint of the training, got none')
    results: dict[str, Any] = {'last': _evaluate(run, last, 'evaluation'), 'best': None}
    frozen = run.method.features is not None
    no_best = LAST_ONLY if frozen else why_no_best(cfg)
    epochs = progress_of(last)[1]  # fewer than planned where a hook stops early
    found: dict[str, Any] = dict(results=results, epochs=epochs, best_epoch=None, no_best=no_best)
    if found['no_best'] is None:
        best = _best(run.folder, cfg)
        if best is None:
            found['no_best'] = 'CheckpointHook(save_best=...) of the configs keeps no best epoch'
        else:
            epoch = _EPOCH.search(best.name)
            found['best_epoch'] = int(epoch[1]) if epoch else None
            same = epoch is not None and int(epoch[1]) == epochs
            results['best'] = results['last'] if same else _evaluate(run, best, 'evaluation_best')
    return found


def _best(folder: Path, cfg: Config) -> Path | None:
    """The checkpoint that validation has chosen, by the first figure of ``save_best``."""
    wanted = cfg.default_hooks.get('checkpoint', {}).get('save_best')
    first = wanted[0] if isinstance(wanted, (list, tuple)) else None
    name = '.*' if first is None else re.escape(first.replace('/', '_'))
    kept = [
        path
        for path in folder.glob('best_*.pth')
        if re.fullmatch(rf'best_{name}_(epoch|iter)_\d+\.pth', path.name)
    ]
    return max(kept, key=lambda path: path.stat().st_mtime, default=None)


def why_no_best(cfg: Config) -> str | None:
    """Why no epoch can be chosen on validation, or None."""
    if cfg.get('val_dataloader') is None:
        return 'the configs have no validation images'
    if same_images(cfg):
        return 'validation and test images are the same'
    return None


def _evaluate(run: Run, checkpoint: Path, name: str) -> Figures:
    folder = run.folder / name
    pictures = run.method.features is None
    evaluate_run(run.folder / run.method.config.name, checkpoint, folder, pictures)
    known = json.loads((folder / 'metrics.json').read_text(encoding='utf-8'))
    figures = known['results'][AS_PREDICTED]['figures']
    return {name: value for name, value in figures.items() if value is not None}
