"""Resumes with something changed: which are refused, which are named in a warning, which pass."""

from __future__ import annotations

import re
import shutil
from itertools import dropwhile
from pathlib import Path
from typing import Any

from tests.faults.processes import Processes
from tests.faults.recipes import recipe_config

# What is changed -> recipe, options of the resumed run, processes, and a word that a message about
# it has to contain.
CHANGES: dict[str, tuple[str, dict[str, Any], int, str]] = {
    'batch size': ('CE', {'train_dataloader.batch_size': 32}, 1, 'batch'),
    'processes, same batch on each': ('CE', {'train_dataloader.batch_size': 64}, 2, 'total_batch'),
    'workers': ('CE', {'train_dataloader.num_workers': 1}, 1, 'worker'),
    'seed': ('CE', {'randomness.seed': 1}, 1, 'seed'),
    'learning rate': ('CE', {'optim_wrapper.optimizer.lr': 0.5}, 1, r'\blr\b|learning rate'),
    'weight decay': ('CE', {'optim_wrapper.optimizer.weight_decay': 0.01}, 1, 'weight_decay'),
    'length of the schedule': ('CE', {'param_scheduler.T_max': 9}, 1, 'T_max|schedul'),
    'imbalance of the data': (
        'CE',
        {'train_dataloader.dataset.imbalance_ratio': 10},
        1,
        'class_counts|training data',
    ),
    'sampler': (
        'CE',
        {'train_dataloader.sampler': dict(_delete_=True, type='ClassBalancedSampler')},
        1,
        'sampler',
    ),
    'power of the sampler': (
        'progressive sampling',
        {'train_dataloader.sampler.power': 0.5},
        1,
        'power|sampler',
    ),
    'distribution of partners': (
        'CP-Mix',
        {'train_dataloader.sampler.partners': 'balanced'},
        1,
        'partners|sampler',
    ),
    'share of mixed batches': (
        'CP-Mix',
        {'train_dataloader.batch_sampler.prob': 0.9},
        1,
        'prob|batch_sampler',
    ),
    'strength of the mixing': (
        'CP-Mix',
        {'model.train_cfg.augments.alpha': 0.2},
        1,
        'alpha|augments',
    ),
    'weight of the loss': ('CAR', {'model.head.loss.loss_weight': 9.0}, 1, 'loss_weight'),
    'momentum of the estimate': ('CAR', {'model.head.loss.beta': 0.5}, 1, 'beta'),
    'epoch of re-weighting': (
        'LDAM-DRW',
        {'default_hooks.reweighting.start_epoch': 2},
        1,
        'start_epoch|reweighting',
    ),
}
# What a message about a fault of the run itself begins with, in a printed log.
WARNING = re.compile(r'WARNING|warning:')


def measure(folder: Path) -> dict[str, Any]:
    """How each change ends: ``'refused'``, ``'warned'`` or ``'silent'``."""
    bases: dict[str, Path] = {}
    results = []
    for number, (change, (recipe, options, ranks, word)) in enumerate(CHANGES.items()):
        if recipe not in bases:
            bases[recipe] = folder / f'base_{number}'
            _run(recipe, bases[recipe], 1, {'train_cfg.max_epochs': 1})
        work = folder / f'change_{number}'
        shutil.copytree(bases[recipe], work)
        (work / 'last_checkpoint').write_text(str(work / 'epoch_1.pth'))
        run = _run(recipe, work, ranks, dict(options, resume=True))
        end = run.wait()
        text = ''.join(log.read_text(errors='replace') for log in run.logs)
        warned = [line for line in _messages(text) if re.search(word, line)]
        if end == 'done':
            verdict = 'warned' if warned else 'silent'
        else:
            verdict = 'refused' if end == 'failed' and re.search(word, _error(text)) else end
        results.append(
            dict(change=change, verdict=verdict, line=run.last_line() if end != 'done' else '')
        )
        print(f'{change}: {verdict}', flush=True)
        shutil.rmtree(work)
    return dict(changes=results)


def _run(recipe: str, work: Path, ranks: int, options: dict[str, Any]) -> Processes:
    def configure(rank: int) -> Any:
        return recipe_config(recipe, work, ranks, **options)

    run = Processes.start(work, ranks, configure)
    run.wait()
    return run


def _error(text: str) -> str:
    """The message of the exception that ended a run, all its lines."""
    lines = text.rsplit('Traceback', 1)[-1].splitlines()[1:]
    message = dropwhile(lambda line: line.startswith(' '), lines)  # the frames come first
    return '\n'.join(message)


def _messages(text: str) -> list[str]:
    """Warnings, each with the lines that continue it."""
    messages: list[str] = []
    for line in text.splitlines():
        if WARNING.search(line):
            messages.append(line)
        elif messages and not re.match(r'\d\d\d\d/\d\d/\d\d|\d\d/\d\d ', line):
            messages[-1] += ' ' + line
    return messages
