"""tools/slurm_train.sh with srun and scontrol replaced: what goes back into the queue, and how."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / 'tools' / 'slurm_train.sh'

# It ends with the code that is asked for, at once or after it has got the signal.
SRUN = """#!/usr/bin/env bash
echo "$@" > "$LOG/srun"
if [ "${WAITS:-0}" = 1 ]; then
    trap 'sleep 0.2; exit "$CODE"' USR1
    touch "$LOG/ready"
    while true; do sleep 0.05; done
fi
exit "$CODE"
"""


@pytest.fixture
def run(tmp_path):
    commands = tmp_path / 'bin'
    commands.mkdir()
    for name, text in dict(srun=SRUN, scontrol='#!/bin/sh\necho "$@" > "$LOG/scontrol"\n').items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    work_dir = tmp_path / 'work'
    work_dir.mkdir()
    config = tmp_path / 'config.py'
    config.touch()

    def start(code=0, signalled=False, wrap=None, **environment):
        command = ['bash', SCRIPT, 'gpu', 'job', str(config), str(work_dir), '--amp']
        if wrap is not None:  # what sbatch makes of it
            batch = tmp_path / 'batch'
            arguments = shlex.join(map(str, command[1:]))
            batch.write_text(f'#!/bin/sh\n# A batch script.\n\n{wrap} {arguments}\n')
            command = ['sh', str(batch)]
        process = subprocess.Popen(
            command,
            env={
                **os.environ,
                'PATH': f'{commands}:{os.environ["PATH"]}',
                'LOG': str(tmp_path),
                'CODE': str(code),
                'WAITS': str(int(signalled)),
                **environment,
            },
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        if signalled:
            for _ in range(600):
                if (tmp_path / 'ready').exists():
                    break
                time.sleep(0.05)
            process.send_signal(signal.SIGUSR1)
        try:
            start.said = process.communicate(timeout=20)[1]
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what a command has left behind
        return process.returncode

    def read(name):
        path = tmp_path / name
        return path.read_text() if path.exists() else None

    start.read, start.work_dir = read, work_dir
    return start


JOB = dict(REQUEUE='1', SLURM_JOB_ID='17')


def test_a_stopped_run_goes_back_into_the_queue(run):
    assert run(0, signalled=True, **JOB) == 0
    assert run.read('scontrol') == 'requeue 17\n'


def test_the_command_of_the_page_passes_the_signal_on(run):
    """Slurm signals the shell of the batch script alone."""
    page = (SCRIPT.parents[1] / 'docs' / 'distributed.md').read_text()
    (wrap,) = re.findall(r'--wrap "(.*)tools/slurm_train.sh', page)
    assert run(0, signalled=True, wrap=f'{wrap}bash', **JOB) == 0
    assert run.read('scontrol') == 'requeue 17\n'


def test_a_run_that_fails_when_it_is_stopped_does_not(run):
    assert run(3, signalled=True, **JOB) == 3
    assert run.read('scontrol') is None


@pytest.mark.parametrize('code', [0, 3])
@pytest.mark.parametrize('environment', [JOB, {}])
def test_a_run_that_ends_does_not(run, code, environment):
    assert run(code, **environment) == code
    assert run.read('scontrol') is None
    assert '--resume' not in run.read('srun')
    assert run.read('srun').endswith(f'--work-dir={run.work_dir} --launcher=slurm --amp\n')


@pytest.mark.parametrize('saved', [True, False])
def test_it_is_resumed_if_there_is_something_to_resume(run, saved):
    if saved:
        (run.work_dir / 'epoch_1.pth').touch()
    run(0, **JOB, SLURM_RESTART_COUNT='1')
    assert ('--resume --amp' in run.read('srun')) == saved


def test_outside_of_a_job_it_says_so(run):
    assert run(0, REQUEUE='1') == 2
    assert 'REQUEUE: expected to be in a job of sbatch' in run.said
