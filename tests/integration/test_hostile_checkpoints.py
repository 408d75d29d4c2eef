"""A checkpoint is data: whichever way it is loaded, no code of it runs, and it deletes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmlt import openmmlab
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.skipif(
    openmmlab._numbers(torch.__version__) < (2, 6), reason='torch before 2.6 loads without safety'
)


@pytest.fixture(scope='module')
def attempts(tmp_path_factory):
    """Attempt -> whether code ran, and how it ended."""
    script = Path(__file__).with_name('hostile_checkpoints.py')
    done = subprocess.run(
        [sys.executable, script, tmp_path_factory.mktemp('hostile')],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, 'PYTHONPATH': str(REPOSITORY), 'OMP_NUM_THREADS': '1'},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [line.split() for line in done.stdout.splitlines()]
    found = {words[1]: tuple(words[2:]) for words in lines if words[:1] == ['ATTEMPT']}
    victims = {words[1]: words[2] for words in lines if words[:1] == ['VICTIMS']}
    return found, victims


@pytest.mark.slow
def test_no_code_runs_however_it_is_loaded(attempts):
    code = {name: end for name, end in attempts[0].items() if not name.startswith('text')}
    assert len(code) == 2 * 2 * 11
    assert {name for name, end in code.items() if end != ('idle', 'refused')} == set()


@pytest.mark.slow
def test_a_run_goes_on_without_the_text_of_its_checkpoint(attempts):
    text = {name: end for name, end in attempts[0].items() if name.startswith('text')}
    assert text == dict.fromkeys(('text,hook', 'text,none'), ('idle', 'loaded'))


@pytest.mark.slow
def test_no_file_outside_of_the_work_directory_is_deleted(attempts):
    assert attempts[1] == dict(hook='True', none='True')


def test_only_the_statistics_of_a_history_are_found():
    from mmengine.logging.history_buffer import HistoryBuffer

    for name in ('mean', 'max', 'min', 'current'):
        assert openmmlab._statistic_of_history(HistoryBuffer, name) is getattr(HistoryBuffer, name)
    for owner, name in ((getattr, '__self__'), (HistoryBuffer, '__init__'), (str, 'mean')):
        with pytest.raises(Exception, match='refused: the checkpoint asks for'):
            openmmlab._statistic_of_history(owner, name)
