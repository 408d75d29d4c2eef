"""Hostile checkpoints on each stack that is given: what was tried, what ran, what was refused."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from typing import Any

from tests.conftest import REPOSITORY

SCRIPT = REPOSITORY / 'tests' / 'integration' / 'hostile_checkpoints.py'
STACK = (
    'import importlib.metadata as m, torch; names = {d.metadata["Name"].lower() for d in '
    'm.distributions()}; print(" ".join(f"{n} {m.version(n)}" for n in ("mmengine", '
    '"onedl-mmengine", "mmpretrain", "onedl-mmpretrain") if n in names), "torch",'
    ' torch.__version__)'
)


def measure(pythons: Sequence[str]) -> dict[str, Any]:
    """Attempts of each stack.

    Args:
        pythons: an interpreter of each environment.
    """
    environment = {**os.environ, 'PYTHONPATH': str(REPOSITORY), 'OMP_NUM_THREADS': '1'}
    stacks = []
    for python in pythons:
        name = subprocess.run(
            [python, '-c', STACK], capture_output=True, text=True, check=True, env=environment
        ).stdout.strip()
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [python, str(SCRIPT), folder], capture_output=True, text=True, env=environment
            )
        if done.returncode:
            raise RuntimeError(f'{name}: {done.stderr[-2000:]}')
        lines = [line.split(maxsplit=3) for line in done.stdout.splitlines()]
        attempts = [
            dict(name=words[1], ran=words[2] == 'ran', end=words[3])
            for words in lines
            if words[:1] == ['ATTEMPT']
        ]
        kept = [words[2] == 'True' for words in lines if words[:1] == ['VICTIMS']]
        stacks.append(dict(stack=name, attempts=attempts, files_kept=kept))
        ran = sum(attempt['ran'] for attempt in attempts)
        print(f'{name}: {len(attempts)} attempts, {ran} ran', flush=True)
    return dict(stacks=stacks)
