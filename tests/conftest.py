"""What every test shares: one thread, and the optional folder of real data."""

from __future__ import annotations

import gc
import os
from pathlib import Path

os.environ.setdefault('OMP_NUM_THREADS', '1')

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.runner import Runner

torch.set_num_threads(1)

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='module', autouse=True)
def frozen_imports():
    """Take what was imported until now out of garbage collection.

    MMEngine collects garbage for each data set: two fifths of the time of tests that build runners.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope='session')
def shared_dir() -> Path:
    """Folder with real data for measurements; a test that needs it is skipped without it."""
    folder = Path(os.environ.get('MMLT_SHARED', REPOSITORY.parent / 'shared'))
    if not (folder / 'data').is_dir():
        pytest.skip(f'no real data at {folder} (set MMLT_SHARED to the folder that holds data/)')
    return folder


def plain_text(cfg):
    """The config as Python that loads again, not laid out."""
    return '\n'.join(f'{name} = {value!r}' for name, value in cfg.to_dict().items()) + '\n'


@pytest.fixture(autouse=True)
def lean_runner(monkeypatch):
    """Spare seconds per runner: a config laid out by yapf, and the versions of compilers."""
    monkeypatch.setattr(Config, 'pretty_text', property(plain_text))
    monkeypatch.setattr(Runner, '_log_env', lambda runner, env_cfg: None)


@pytest.fixture(autouse=True)
def no_stale_copies():
    """Forget what MMEngine's ``get_subset`` of other tests copied.

    It keeps that by address for ever, and takes a new object at an old address for the old one.
    OneDL's engine does not.
    """
    for memory in BaseDataset._copy_without_annotation.__defaults__ or ():
        if isinstance(memory, dict):
            memory.clear()
