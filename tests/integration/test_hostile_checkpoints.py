"""A checkpoint is data: whichever way it is loaded, no code of it runs, and it deletes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmlt import host
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.skipif(
    host._numbers(torch.__version__) < (2, 6), reason='torch before 2.6 loads without safety'
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
    found['victim'] = next(words[1] for words in lines if words[:1] == ['VICTIM'])
    return found


def test_nothing_ran(attempts):
    victim = attempts.pop('victim')
    assert len(attempts) == 4 * 3 + 4 + 1
    assert {name for name, (ran, _) in attempts.items() if ran != 'idle'} == set()
    assert attempts.pop('config') == ('idle', 'loaded'), 'a run goes on, without its text'
    assert {name for name, (_, end) in attempts.items() if end != 'refused'} == set()
    assert victim == 'True', 'a file outside of the work directory is not deleted'
    attempts.update(config=('idle', 'loaded'), victim=victim)


def test_only_the_statistics_of_a_history_are_found():
    from mmengine.logging.history_buffer import HistoryBuffer

    for name in ('mean', 'max', 'min', 'current'):
        assert host._statistic_of_history(HistoryBuffer, name) is getattr(HistoryBuffer, name)
    for owner, name in ((getattr, '__self__'), (HistoryBuffer, '__init__'), (str, 'mean')):
        with pytest.raises(Exception, match='refused: the checkpoint asks for'):
            host._statistic_of_history(owner, name)
